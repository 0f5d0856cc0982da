// One form for every spelling of an address.

import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { networkOf, parseAddress } from '../../../src/lib/ip-address.ts'

const addresses: [text: string, address: string | undefined, network?: string][] = [
  ['192.0.2.7', '192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2.7'],
  ['::FFFF:C000:0207', '192.0.2.7', '192.0.2.7'],
  ['0:0:0:0:0:ffff:c000:207', '192.0.2.7', '192.0.2.7'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '2001:db8::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80::1', 'fe80::/64'],
  ['::1', '::1', '::/64'],
  ['::', '::', '::/64'],
  ['[::1]', undefined],
  ['192.0.2.7:80', undefined],
  ['192.0.2.256', undefined],
  ['unknown', undefined],
  ['', undefined],
]
for (const [text, address, network] of addresses) {
  test(`the address "${text}" is ${address ?? 'none'}`, () => {
    assert.equal(parseAddress(text), address)
    if (network !== undefined) assert.equal(networkOf(text), network)
  })
}

test('text that is no address is its own network', () => {
  assert.equal(networkOf('unix socket'), 'unix socket')
})

test('a parsed address is an address, parses to itself, and means what it came from', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = parseAddress(text) ?? ''
      assert.notEqual(isIP(address), 0)
      assert.equal(parseAddress(address), address)
      const same = new BlockList()
      same.addAddress(text, isIP(text) === 4 ? 'ipv4' : 'ipv6')
      assert.ok(same.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6'))
    }),
  )
})

test('an address is in its own network', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const [prefix = '', bits] = networkOf(text).split('/')
      if (bits === undefined) return
      const network = new BlockList()
      network.addSubnet(prefix, Number(bits), 'ipv6')
      assert.ok(network.check(text, 'ipv6'))
    }),
  )
})
