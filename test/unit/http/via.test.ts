import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseVia } from '../../../src/http/via.ts'
import { isLoop, makeProxyName, withSelf } from '../../../src/registry/proxy-chain.ts'

describe('Via', () => {
  const headers: [header: string | undefined, entries: string[]][] = [
    [undefined, []],
    ['', []],
    ['1.1 trow-0123456789abcdef', ['1.1 trow-0123456789abcdef']],
    ['1.0 fred, 1.1 p.example.net', ['1.0 fred', '1.1 p.example.net']],
    ['HTTP/1.1 proxy:8080 (squid, v. 5), 1.1  [::1]:80', ['HTTP/1.1 proxy:8080', '1.1 [::1]:80']],
    ['1.1 a ((nested) comment), 1.1 b', ['1.1 b']],
    [String.raw`1.1 a (\) , ), 1.1 b`, ['1.1 a', '1.1 b']],
    ['one, 1.1 a b c, , 1.1 ü, 1.1 x"y, 1.1 b', ['1.1 b']],
    [`1.1 ${'x'.repeat(256)}, 1.1 b`, ['1.1 b']],
  ]
  for (const [header, entries] of headers) {
    test(`is read from ${JSON.stringify(header)?.slice(0, 60)}`, () => {
      assert.deepEqual(parseVia(header), entries)
    })
  }
})

describe('a loop', () => {
  const bounds = { hopsMax: 3, entriesMax: 6 }
  const own = makeProxyName()
  const others = (count: number) =>
    Array.from({ length: count }, () => withSelf([], makeProxyName())).flat()

  test('is what the own name is in', () => {
    assert.equal(isLoop([], own, bounds), false)
    assert.equal(isLoop(withSelf([], own), own, bounds), true)
    assert.equal(isLoop([...withSelf(others(1), own), ...others(1)], own, bounds), true)
    assert.equal(isLoop(others(2), own, bounds), false)
  })

  test('is a chain of more registries, or of more proxies, than there can be', () => {
    assert.equal(isLoop(others(3), own, bounds), false)
    assert.equal(isLoop(others(4), own, bounds), true)
    const proxies = Array.from({ length: 6 }, () => '1.1 proxy.example')
    assert.equal(isLoop(proxies, own, bounds), false)
    assert.equal(isLoop([...proxies, '1.1 proxy.example'], own, bounds), true)
  })

  test('is not what was sent by a program that only looks alike', () => {
    assert.equal(
      isLoop(['1.1 trow', '1.1 trow-1', '1.1 trow.example', '1.1 a'], own, bounds),
      false,
    )
  })
})
