// Running digests of upload sessions: one is only ever used for exactly the bytes that went into it,
// by one request at a time; their number has a bound, and those that are not used any more are dropped.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import type { RunningDigest } from '../../../src/registry/ports/hashing.ts'
import type { UploadId } from '../../../src/registry/ports/upload-store.ts'
import { UploadDigesters } from '../../../src/registry/upload-digesters.ts'

const [a, b, c] = ['a', 'b', 'c'] as UploadId[] as [UploadId, UploadId, UploadId]

/** One that was fed so many bytes. */
function digestOfBytes(size: number): RunningDigest & { isDropped: boolean } {
  return {
    algorithm: 'sha256',
    size,
    observer: {},
    digest: async () => digestOf(Buffer.alloc(size)),
    isDropped: false,
    [Symbol.dispose]() {
      this.isDropped = true
    },
  }
}

test('a digest comes back for the offset it was put at', () => {
  const digesters = new UploadDigesters(10)
  const digest = digestOfBytes(5)
  digesters.put(a, digest, 5)
  assert.equal(digesters.take(a, 5), digest)
  assert.equal(digest.isDropped, false)
})

test('whoever takes it has it alone', () => {
  const digesters = new UploadDigesters(10)
  digesters.put(a, digestOfBytes(5), 5)
  digesters.take(a, 5)
  assert.equal(digesters.take(a, 5), undefined)
})

for (const offset of [0, 4, 6]) {
  test(`put at offset 5, it is not given out for offset ${offset}, and is gone then`, () => {
    const digesters = new UploadDigesters(10)
    const digest = digestOfBytes(5)
    digesters.put(a, digest, 5)
    assert.equal(digesters.take(a, offset), undefined)
    assert.equal(digest.isDropped, true)
    assert.equal(digesters.take(a, 5), undefined)
  })
}

for (const size of [4, 6]) {
  test(`one that was fed ${size} bytes is not kept for offset 5`, () => {
    const digesters = new UploadDigesters(10)
    const digest = digestOfBytes(size)
    digesters.put(a, digest, 5)
    assert.equal(digest.isDropped, true)
    assert.equal(digesters.take(a, 5), undefined)
  })
}

test('a later one replaces an earlier one', () => {
  const digesters = new UploadDigesters(10)
  const [earlier, later] = [digestOfBytes(5), digestOfBytes(9)]
  digesters.put(a, earlier, 5)
  digesters.put(a, later, 9)
  assert.equal(earlier.isDropped, true)
  assert.equal(digesters.take(a, 9), later)
})

test('beyond the bound the one that rested longest is dropped', () => {
  const digesters = new UploadDigesters(2)
  const digests = [digestOfBytes(1), digestOfBytes(1), digestOfBytes(1)]
  for (const [index, id] of [a, b, c].entries())
    digesters.put(id, digests[index] ?? assert.fail(), 1)
  assert.deepEqual(
    digests.map(({ isDropped }) => isDropped),
    [true, false, false],
  )
  assert.equal(digesters.take(a, 1), undefined)
  assert.ok(digesters.take(b, 1))
  assert.ok(digesters.take(c, 1))
})

test('that of a session that ended is dropped', () => {
  const digesters = new UploadDigesters(2)
  const digest = digestOfBytes(1)
  digesters.put(a, digest, 1)
  digesters.drop(a)
  assert.equal(digest.isDropped, true)
  assert.equal(digesters.take(a, 1), undefined)
})
