// A blob on its way as one client reads it, when this machine loses the staged bytes: what follows is
// of the same blob, or nothing does.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { BlobFill } from '../../../src/registry/blob-fill.ts'
import type { Beginning } from '../../../src/registry/fill-source.ts'
import type { ByteRange } from '../../../src/registry/ports/blob-store.ts'
import type { UploadReader } from '../../../src/registry/ports/upload-store.ts'

const bytes = Buffer.from('0123456789')

/** Gives what is staged, until it is lost. */
class Staged implements UploadReader {
  isLost = false

  async *read({ start, endInclusive }: ByteRange): AsyncGenerator<Uint8Array> {
    if (this.isLost) throw new Error('the file was cut')
    yield bytes.subarray(start, endInclusive + 1)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

interface Scene {
  readonly fill: BlobFill
  readonly staged: Staged
  /** What was asked for elsewhere. */
  readonly asked: { readonly range: ByteRange; readonly beginning: Beginning | undefined }[]
  readonly chunks: AsyncIterator<Uint8Array>
}

/** A client that has read the first six bytes of a fill whose staged bytes are lost then. */
async function startScene(): Promise<Scene> {
  const staged = new Staged()
  const asked: Scene['asked'] = []
  async function* uncached(range: ByteRange, beginning?: Beginning): AsyncGenerator<Uint8Array> {
    asked.push({ range, beginning })
    yield bytes.subarray(range.start, range.endInclusive + 1)
  }
  const fill = new BlobFill(bytes.length, { staged, uncached, heldBackBytes: 2 })
  const reader = fill.openReader()
  const chunks = reader.read()[Symbol.asyncIterator]()
  assert.equal((await chunks.next()).value?.length, 0)
  fill.advance(6)
  assert.deepEqual((await chunks.next()).value, bytes.subarray(0, 6))
  staged.isLost = true
  fill.advance(8)
  return { fill, staged, asked, chunks }
}

describe('a client whose bytes are lost while a blob arrives', () => {
  test('gets no others when they turn out to have been wrong', async () => {
    const { fill, asked, chunks } = await startScene()
    const next = chunks.next()
    // The file is cut a moment before anybody is told why.
    await new Promise((resolve) => setImmediate(resolve))
    fill.fail(new UpstreamError('wrong bytes', { host: 'h', problem: 'content' }))
    await assert.rejects(next, /wrong bytes/)
    assert.deepEqual(asked, [])
  })

  test('gets the rest from elsewhere, which is to begin in the same way', async () => {
    const { fill, asked, chunks } = await startScene()
    const beginning = { size: 8, digest: digestOf(bytes.subarray(0, 8)) }
    fill.fail(new Error('the disk is full'), beginning)
    assert.deepEqual((await chunks.next()).value, bytes.subarray(6))
    assert.deepEqual(asked, [{ range: { start: 6, endInclusive: 9 }, beginning }])
  })

  test('gets the rest from elsewhere when all of it was verified', async () => {
    const { fill, asked, chunks } = await startScene()
    fill.advance(10)
    fill.verify()
    assert.deepEqual((await chunks.next()).value, bytes.subarray(6))
    assert.deepEqual(asked, [{ range: { start: 6, endInclusive: 9 }, beginning: undefined }])
  })
})
