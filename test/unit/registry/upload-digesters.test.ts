// Running digests of upload sessions: one is only ever used for exactly the bytes that went into it,
// by one request at a time, and their number has a bound.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Digester } from '../../../src/oci/digest.ts'
import type { UploadId } from '../../../src/registry/ports/upload-store.ts'
import { UploadDigesters } from '../../../src/registry/upload-digesters.ts'

const [a, b, c] = ['a', 'b', 'c'] as UploadId[] as [UploadId, UploadId, UploadId]

test('a digester comes back for the offset it was put at', () => {
  const digesters = new UploadDigesters(10)
  const digester = new Digester('sha256')
  digesters.put(a, digester, 5)
  assert.equal(digesters.take(a, 5), digester)
})

test('whoever takes it has it alone', () => {
  const digesters = new UploadDigesters(10)
  digesters.put(a, new Digester('sha256'), 5)
  digesters.take(a, 5)
  assert.equal(digesters.take(a, 5), undefined)
})

for (const offset of [0, 4, 6]) {
  test(`put at offset 5, it is not given out for offset ${offset}, and is gone then`, () => {
    const digesters = new UploadDigesters(10)
    digesters.put(a, new Digester('sha256'), 5)
    assert.equal(digesters.take(a, offset), undefined)
    assert.equal(digesters.take(a, 5), undefined)
  })
}

test('a later one replaces an earlier one', () => {
  const digesters = new UploadDigesters(10)
  const later = new Digester('sha512')
  digesters.put(a, new Digester('sha256'), 5)
  digesters.put(a, later, 9)
  assert.equal(digesters.take(a, 9), later)
})

test('beyond the bound the one that rested longest is dropped', () => {
  const digesters = new UploadDigesters(2)
  for (const id of [a, b, c]) digesters.put(id, new Digester('sha256'), 1)
  assert.equal(digesters.take(a, 1), undefined)
  assert.ok(digesters.take(b, 1))
  assert.ok(digesters.take(c, 1))
})
