// Large answers that wait for their readers: bounded in all, counted once however many read one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeldReplies } from '../../../src/http/held-replies.ts'

const large = (): Buffer => Buffer.alloc(400_000)

test('there is room for so many bytes, and again when they were sent', () => {
  const held = new HeldReplies({ bytesMax: 1_000_000 })
  const first = held.hold(large())
  const second = held.hold('x'.repeat(400_000))
  assert.ok(first !== undefined && second !== undefined)
  assert.equal(held.hold(large()), undefined)
  first[Symbol.dispose]()
  assert.ok(held.hold(large()) !== undefined)
  assert.equal(held.hold(large()), undefined)
})

test('the same bytes are held once for all who read them', () => {
  const held = new HeldReplies({ bytesMax: 1_000_000 })
  const shared = large()
  const readers = Array.from({ length: 100 }, () => held.hold(shared))
  assert.ok(readers.every((reader) => reader !== undefined))
  const other = held.hold(large())
  assert.ok(other !== undefined)
  for (const reader of readers.slice(1)) reader?.[Symbol.dispose]()
  assert.equal(held.hold(large()), undefined)
  readers[0]?.[Symbol.dispose]()
  assert.ok(held.hold(large()) !== undefined)
})

test('small answers always have room', () => {
  const held = new HeldReplies({ bytesMax: 0 })
  for (let number = 0; number < 1_000; number += 1) assert.ok(held.hold('x'.repeat(60_000)))
  assert.equal(held.hold(large()), undefined)
})
