/**
 * Addresses and networks in CIDR notation, and a list of them that an address can be looked up in.
 */
import { BlockList, isIP, isIPv4 } from 'node:net'
import { InvalidSetting } from './invalid-setting.ts'

/** A network that {@link parseAddressRange} has read, always with its prefix: `10.0.0.0/8`. */
export type AddressRange = string & { readonly __addressRange: unique symbol }

/** @param text `10.0.0.0/8`, `fd00::/8`, or one address. @throws InvalidSetting */
export function parseAddressRange(text: string): AddressRange {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = isIPv4(address) ? 32 : 128
  const length = prefix ?? String(bits)
  const isPrefix = /^\d{1,3}$/.test(length) && Number(length) <= bits
  if (isIP(address) === 0 || address.includes('%') || !isPrefix || rest.length > 0) {
    throw new InvalidSetting(
      `expected an address or a network such as "10.0.0.0/8" or "fd00::/8", found "${text}"`,
    )
  }
  return `${address}/${Number(length)}` as AddressRange
}

/** IPv4 addresses that arrive in IPv6 notation (`::ffff:10.0.0.1`) are found too. */
export function toBlockList(ranges: readonly AddressRange[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/')
    list.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6')
  }
  return list
}
