// The walk along the hops of a request to the client's address.

import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseHop, walkHops } from '../../../src/http/client-address.ts'

const trusted = new BlockList()
trusted.addSubnet('10.0.0.0', 8, 'ipv4')
trusted.addSubnet('fd00::', 8, 'ipv6')

const walks: [about: string, peer: string, hops: (string | undefined)[], address: string][] = [
  ['no hops: the peer', '10.0.0.1', [], '10.0.0.1'],
  ['an untrusted peer is not asked who sent it', '192.0.2.1', ['198.51.100.9'], '192.0.2.1'],
  ['a trusted peer tells', '10.0.0.1', ['192.0.2.1'], '192.0.2.1'],
  ['a chain of trusted hops is followed', '10.0.0.1', ['192.0.2.1', '10.0.0.2'], '192.0.2.1'],
  ['IPv6 hops too', 'fd00::1', ['2001:db8::7', 'fd00::2'], '2001:db8::7'],
  ['what an untrusted hop says is not believed', '10.0.0.1', ['1.1.1.1', '8.8.8.8'], '8.8.8.8'],
  ['a client inside is found', '10.0.0.1', ['10.9.9.9', '10.0.0.2'], '10.9.9.9'],
  ['an unreadable hop ends it', '10.0.0.1', ['192.0.2.1', undefined, '10.0.0.2'], '10.0.0.2'],
]
for (const [about, peer, hops, address] of walks) {
  test(about, () => assert.equal(walkHops(peer, hops, trusted).address, address))
}

test('whatever a client puts on the left, its address is what the trusted proxy saw', () => {
  const hop = fc.option(fc.oneof(fc.ipV4(), fc.ipV6()), { nil: undefined })
  fc.assert(
    fc.property(fc.array(hop), (invented) => {
      const walk = walkHops('10.0.0.1', [...invented, '192.0.2.1', '10.0.0.2'], trusted)
      assert.deepEqual(walk, { address: '192.0.2.1', believed: 2 })
    }),
  )
})

const hops: [text: string, address: string | undefined][] = [
  ['192.0.2.1', '192.0.2.1'],
  ['192.0.2.1:4711', '192.0.2.1'],
  ['2001:DB8::1', '2001:db8::1'],
  ['[2001:db8::1]', '2001:db8::1'],
  ['[2001:db8::1]:4711', '2001:db8::1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['unknown', undefined],
  ['_hidden', undefined],
  ['[2001:db8::1', undefined],
  ['192.0.2.1:port', undefined],
  ['192.0.2.1, 10.0.0.1', undefined],
  ['', undefined],
]
for (const [text, address] of hops) {
  test(`the hop "${text}" is ${address ?? 'unreadable'}`, () => {
    assert.equal(parseHop(text), address)
  })
}
