/**
 * The client's address behind proxies. Each proxy writes down at the right end who talked to it, so
 * the list is read from there: what a trusted hop says is believed, what stands left of the first
 * hop that is not trusted may be invented.
 */
import { isIPv4, type BlockList } from 'node:net'
import { parseAddress } from '../lib/ip-address.ts'

export interface Walk {
  readonly address: string
  /** How many hops, counted from the right, were told by a trusted one. */
  readonly believed: number
}

/** @param hops addresses as headers told them, the nearest last; undefined for unreadable ones. */
export function walkHops(
  peer: string,
  hops: readonly (string | undefined)[],
  trusted: BlockList,
): Walk {
  let address = peer
  let believed = 0
  for (const hop of hops.toReversed()) {
    if (!isTrusted(address, trusted)) break
    believed += 1
    if (hop === undefined) break
    address = hop
  }
  return { address, believed }
}

/** @param address as `parseAddress` gives it. */
export function isTrusted(address: string, trusted: BlockList): boolean {
  return trusted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/
const ipv4WithPort = /^([\d.]+):\d{1,5}$/

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. */
export function parseHop(text: string): string | undefined {
  const [, address = text] = bracketed.exec(text) ?? ipv4WithPort.exec(text) ?? []
  return parseAddress(address)
}
