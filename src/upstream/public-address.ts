/**
 * Whether an address is one of the public Internet, by the special-purpose registries of IANA
 * (RFC 6890 and its successors). Addresses that carry an IPv4 address in them (mapped, NAT64, 6to4)
 * are as public as that one, so that clusters with IPv6 alone and NAT64 reach what others do.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

const reserved = new BlockList()

const reservedIPv4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  // Multicast, then reserved and broadcast.
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** Inside 2000::/3, which is all that is handed out of IPv6 to be reached from everywhere. */
const reservedIPv6: readonly (readonly [string, number])[] = [
  // IETF protocol assignments, Teredo among them.
  ['2001::', 23],
  ['2001:db8::', 32],
  ['3fff::', 20],
]

for (const [network, prefix] of reservedIPv4) reserved.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of reservedIPv6) reserved.addSubnet(network, prefix, 'ipv6')

const globalUnicast = new BlockList()
globalUnicast.addSubnet('2000::', 3, 'ipv6')

/** Which 16-bit group an IPv4 address begins at, in networks that carry one. */
const carriers: readonly (readonly [network: BlockList, group: number])[] = [
  [subnet('64:ff9b::', 96), 6],
  [subnet('2002::', 16), 1],
]

/** @param address without brackets; text that is no address is not public. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !reserved.check(address, 'ipv4')
  // A zone means something on one machine only.
  if (!isIPv6(address) || address.includes('%')) return false
  const groups = groupsOf(address)
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return isPublicAddress(ipv4At(groups, 6))
  }
  const carrier = carriers.find(([network]) => network.check(address, 'ipv6'))
  if (carrier !== undefined) return isPublicAddress(ipv4At(groups, carrier[1]))
  return globalUnicast.check(address, 'ipv6') && !reserved.check(address, 'ipv6')
}

function subnet(network: string, prefix: number): BlockList {
  const list = new BlockList()
  list.addSubnet(network, prefix, 'ipv6')
  return list
}

/** The eight groups of an IPv6 address; a URL writes it in the one form without dots. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const before = parseGroups(head)
  const after = parseGroups(tail ?? '')
  const gap = tail === undefined ? 0 : 8 - before.length - after.length
  return [...before, ...Array.from({ length: gap }, () => 0), ...after]
}

function parseGroups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

function ipv4At(groups: readonly number[], index: number): string {
  const [high = 0, low = 0] = groups.slice(index, index + 2)
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
