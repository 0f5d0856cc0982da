// The cache against a plain map: bounds hold, the least recently used goes first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { LruCache } from '../../../src/lib/lru-cache.ts'

test('the least recently used entry goes first, and reading counts as use', () => {
  const cache = new LruCache<string, number>({ entriesMax: 2 })
  cache.set('a', 1)
  cache.set('b', 2)
  assert.equal(cache.get('a'), 1)
  cache.set('c', 3)
  assert.equal(cache.get('b'), undefined)
  assert.equal(cache.get('a'), 1)
  assert.equal(cache.get('c'), 3)
})

test('setting a key again replaces its value and its weight', () => {
  const cache = new LruCache<string, string>({
    entriesMax: 9,
    weightMax: 4,
    weigh: (text) => text.length,
  })
  cache.set('a', 'xxxx')
  cache.set('a', 'y')
  cache.set('b', 'zzz')
  assert.equal(cache.get('a'), 'y')
  assert.equal(cache.get('b'), 'zzz')
  assert.equal(cache.size, 2)
})

test('a value heavier than the whole cache is not kept and evicts only its own key', () => {
  const cache = new LruCache<string, string>({
    entriesMax: 9,
    weightMax: 4,
    weigh: (text) => text.length,
  })
  cache.set('a', 'x')
  cache.set('b', 'y')
  cache.set('b', 'too heavy')
  assert.equal(cache.get('a'), 'x')
  assert.equal(cache.get('b'), undefined)
})

test('a cache of no entries keeps nothing', () => {
  const cache = new LruCache<string, number>({ entriesMax: 0 })
  cache.set('a', 1)
  assert.equal(cache.size, 0)
})

test('undefined can be a value', () => {
  const cache = new LruCache<string, undefined>({ entriesMax: 1 })
  cache.set('a', undefined)
  assert.equal(cache.size, 1)
  assert.equal(cache.delete('a'), true)
  assert.equal(cache.delete('a'), false)
})

test('after any calls the bounds hold, and what is found is what was set last', () => {
  const key = fc.integer({ min: 0, max: 9 })
  const call = fc.oneof(
    fc.record({ verb: fc.constant('set' as const), key, weight: fc.integer({ min: 0, max: 12 }) }),
    fc.record({ verb: fc.constantFrom('get' as const, 'delete' as const), key }),
    fc.record({ verb: fc.constant('clear' as const), key, chance: fc.constant(1) }),
  )
  fc.assert(
    fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
      const cache = new LruCache<number, number>({ entriesMax: 5, weightMax: 20, weigh: (w) => w })
      const last = new Map<number, number>()
      for (const call of calls) {
        if (call.verb === 'set') {
          cache.set(call.key, call.weight)
          last.set(call.key, call.weight)
        } else if (call.verb === 'delete') {
          cache.delete(call.key)
          last.delete(call.key)
        } else if (call.verb === 'clear') {
          cache.clear()
          last.clear()
        }
        const found = cache.get(call.key)
        if (found !== undefined) assert.equal(found, last.get(call.key))
        if (call.verb === 'set') assert.equal(found, call.weight)
        const kept = [...last.keys()].map((k) => cache.get(k)).filter((w) => w !== undefined)
        assert.equal(cache.size, kept.length)
        assert.ok(cache.size <= 5)
        assert.ok(kept.reduce((sum, weight) => sum + weight, 0) <= 20)
      }
    }),
  )
})
