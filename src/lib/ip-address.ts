/**
 * IP addresses as text in one form each, so that two spellings of an address compare equal: IPv4 in
 * dots even when it came in IPv6 notation (RFC 4291, 2.5.5.2), IPv6 as RFC 5952 has it, no zone.
 */
import { isIPv4, isIPv6 } from 'node:net'

/** @returns undefined for text that is no IP address; brackets and ports are not part of one. */
export function parseAddress(text: string): string | undefined {
  if (isIPv4(text)) return text
  // As a socket that listens on [::] has it, on every request.
  if (text.startsWith('::ffff:') && isIPv4(text.slice(7))) return text.slice(7)
  if (!isIPv6(text)) return undefined
  const groups = ipv6Groups(text)
  const [high = 0, low = 0] = groups.slice(6)
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
  }
  return compressed(text)
}

/** One client's own network: an IPv4 address, the /64 of an IPv6 one. Other text is its own. */
export function networkOf(text: string): string {
  const address = parseAddress(text)
  if (address === undefined) return text
  if (isIPv4(address)) return address
  const prefix = ipv6Groups(address).slice(0, 4)
  return `${compressed(`${prefix.map((group) => group.toString(16)).join(':')}::`)}/64`
}

/** The URL parser knows RFC 5952; it wants no zone (`fe80::1%eth0`), which means nothing elsewhere. */
function compressed(ipv6: string): string {
  return new URL(`http://[${ipv6.replace(/%.*$/, '')}]`).hostname.slice(1, -1)
}

/** All eight 16-bit groups. */
function ipv6Groups(ipv6: string): number[] {
  const [left = '', right] = compressed(ipv6).split('::')
  const parse = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const head = parse(left)
  if (right === undefined) return head
  const tail = parse(right)
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail]
}
