import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freeBytes } from '../../../src/lib/free-bytes.ts'

describe('bytes that nobody uses any more', () => {
  test('are freed at once when they have an ArrayBuffer to themselves', () => {
    const bytes = new Uint8Array(1_000)
    freeBytes(bytes)
    assert.equal(bytes.length, 0)
  })

  test('are left alone when they share it with others', () => {
    const shared = new ArrayBuffer(1_000)
    freeBytes(new Uint8Array(shared, 0, 500))
    assert.equal(shared.byteLength, 1_000)
  })

  test('are left alone when another thread may have them', () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(1_000))
    freeBytes(bytes)
    assert.equal(bytes.length, 1_000)
  })
})
