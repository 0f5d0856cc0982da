// What every upload store does, as `src/registry/ports.ts` promises it: staged bytes are exactly
// those that count, whatever broke on the way, and become a blob in one step.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { digestOf } from '../../src/oci/digest.ts'
import type { BlobStore, ByteRange } from '../../src/registry/ports/blob-store.ts'
import type { UploadId, UploadStore } from '../../src/registry/ports/upload-store.ts'
import { collect, inPieces, patternBytes, thenThrow, unobserved } from '../support/bytes.ts'

export interface UploadStoreUnderTest extends AsyncDisposable {
  readonly uploads: UploadStore
  /** Where committed uploads are found. */
  readonly blobs: BlobStore
  /** Where the driver's buffers turn over. */
  readonly bufferBytes: number
  /** The same store as another process would see it, after this one ended. */
  reopen(): Promise<UploadStoreUnderTest>
  /** What is open or staged though nothing is under way and no upload is left. */
  leaks(): Promise<string[]>
}

export function uploadStoreContract(name: string, open: () => Promise<UploadStoreUnderTest>): void {
  /** A test on an empty store, which has to leave nothing behind but the uploads it knows of. */
  function check(title: string, work: (store: UploadStoreUnderTest) => Promise<void>): void {
    test(title, async () => {
      await using store = await open()
      await work(store)
      for (const id of await store.uploads.listUploads()) await store.uploads.deleteUpload(id)
      assert.deepEqual(await store.uploads.listUploads(), [])
      assert.deepEqual(await store.leaks(), [])
    })
  }

  describe(`${name} as an upload store`, () => {
    appending(check)
    observing(check)
    readingWhileAppending(check)
    brokenSources(check)
    offsets(check)
    committing(check)
    lifecycle(check)
  })
}

type Check = (title: string, work: (store: UploadStoreUnderTest) => Promise<void>) => void

function newId(): UploadId {
  return randomUUID() as UploadId
}

async function append(
  uploads: UploadStore,
  id: UploadId,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  const result = await uploads.appendToUpload(id, offset, inPieces(bytes, 1_000), unobserved)
  assert.deepEqual(result, { appended: bytes.length })
}

async function assertStaged(
  uploads: UploadStore,
  id: UploadId,
  expected: Uint8Array,
): Promise<void> {
  const staged = await readStaged(uploads, id, expected.length)
  assert.ok(staged.equals(expected), `staged are ${staged.length} bytes, other than expected`)
}

async function readStaged(uploads: UploadStore, id: UploadId, size: number): Promise<Buffer> {
  await using reader = await uploads.openUpload(id)
  return await collect(reader.read(firstBytes(size)))
}

function firstBytes(size: number): ByteRange {
  return { start: 0, endInclusive: size - 1 }
}

function appending(check: Check): void {
  const sizes: [name: string, size: (buffer: number) => number][] = [
    ['nothing', () => 0],
    ['one byte', () => 1],
    ['a byte less than a buffer', (buffer) => buffer - 1],
    ['a buffer', (buffer) => buffer],
    ['a byte more than a buffer', (buffer) => buffer + 1],
    ['three buffers', (buffer) => 3 * buffer],
  ]
  for (const [name, size] of sizes) {
    for (const [pieces, pieceBytes] of [
      ['one piece', () => Infinity],
      ['pieces of a byte less than a buffer', (buffer: number) => buffer - 1],
      ['small pieces', () => 997],
    ] as const) {
      check(`stages ${name} in ${pieces}`, async ({ uploads, bufferBytes }) => {
        const id = newId()
        const bytes = patternBytes(size(bufferBytes))
        const seen: Buffer[] = []
        const result = await uploads.appendToUpload(
          id,
          0,
          inPieces(bytes, pieceBytes(bufferBytes)),
          { onBytes: (run) => seen.push(Buffer.from(run)) },
        )
        assert.deepEqual(result, { appended: bytes.length })
        assert.ok(bytes.equals(Buffer.concat(seen)), 'what was told is not what came')
        await assertStaged(uploads, id, bytes)
        assert.deepEqual(await uploads.listUploads(), [id])
      })
    }
  }

  check('takes pieces that are empty', async ({ uploads }) => {
    const id = newId()
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (const text of ['', 'a', '', '', 'bc', '']) yield Buffer.from(text)
    }
    const result = await uploads.appendToUpload(id, 0, source(), unobserved)
    assert.deepEqual(result, { appended: 3 })
    await assertStaged(uploads, id, Buffer.from('abc'))
  })

  check('appends where the upload was', async ({ uploads, bufferBytes }) => {
    const id = newId()
    const bytes = patternBytes(3 * bufferBytes + 5)
    const cuts = [0, 1, bufferBytes, bufferBytes, 2 * bufferBytes + 3, bytes.length]
    for (const [index, start] of cuts.entries()) {
      await append(uploads, id, start, bytes.subarray(start, cuts[index + 1]))
    }
    await assertStaged(uploads, id, bytes)
  })

  check('keeps uploads that run at once apart', async ({ uploads, bufferBytes }) => {
    const all = Array.from({ length: 8 }, (_, seed) => ({
      id: newId(),
      bytes: patternBytes(bufferBytes + seed, seed),
    }))
    await Promise.all(all.map(({ id, bytes }) => append(uploads, id, 0, bytes)))
    for (const { id, bytes } of all) await assertStaged(uploads, id, bytes)
    assert.deepEqual((await uploads.listUploads()).toSorted(), all.map(({ id }) => id).toSorted())
  })

  check('reads fewer bytes than are staged', async ({ uploads }) => {
    const id = newId()
    await append(uploads, id, 0, Buffer.from('abcdef'))
    await assertStaged(uploads, id, Buffer.from('abc'))
    await assertStaged(uploads, id, Buffer.alloc(0))
  })

  check('lets a reader of staged bytes stop midway', async ({ uploads, bufferBytes }) => {
    const id = newId()
    await append(uploads, id, 0, patternBytes(4 * bufferBytes))
    await using reader = await uploads.openUpload(id)
    for await (const chunk of reader.read(firstBytes(4 * bufferBytes))) if (chunk.length > 0) break
  })
}

function observing(check: Check): void {
  check('tells how much can be read, from the start of the upload', async (store) => {
    const { uploads, bufferBytes } = store
    const id = newId()
    const bytes = patternBytes(3 * bufferBytes + 5)
    await append(uploads, id, 0, bytes.subarray(0, 10))
    const told: number[] = []
    const source = inPieces(bytes.subarray(10), 997)
    const onWritten = (offset: number): number => told.push(offset)
    await uploads.appendToUpload(id, 10, source, { ...unobserved, onWritten })
    assert.equal(told.at(-1), bytes.length)
    assert.deepEqual(
      told,
      told.toSorted((one, other) => one - other),
    )
    assert.equal(told[0], 10 + 997, 'the first bytes were gathered, though somebody waits for them')
  })

  check('tells of bytes before the source has more, and they can be read', async ({ uploads }) => {
    const id = newId()
    const { source, next } = steppedSource([Buffer.from('abc'), Buffer.from('def')])
    const progress = new Progress()
    const done = uploads.appendToUpload(id, 0, source, {
      ...unobserved,
      onWritten: (offset) => progress.reach(offset),
    })
    next()
    await progress.reached(3)
    await assertStaged(uploads, id, Buffer.from('abc'))
    next()
    await progress.reached(6)
    await assertStaged(uploads, id, Buffer.from('abcdef'))
    next()
    assert.deepEqual(await done, { appended: 6 })
  })
}

/** Gives one of `pieces`, and then its end, each time it is told to. */
function steppedSource(pieces: readonly Uint8Array[]): {
  source: AsyncIterable<Uint8Array>
  next: () => void
} {
  const turns = Array.from({ length: pieces.length + 1 }, () => Promise.withResolvers<void>())
  let taken = 0
  return {
    source: (async function* () {
      for (const [index, piece] of pieces.entries()) {
        await turns[index]?.promise
        yield piece
      }
      await turns[pieces.length]?.promise
    })(),
    next: () => turns[taken++]?.resolve(),
  }
}

class Progress {
  #offset = 0
  #changed = Promise.withResolvers<void>()

  reach(offset: number): void {
    this.#offset = offset
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async reached(offset: number): Promise<void> {
    while (this.#offset < offset) await this.#changed.promise
  }
}

function readingWhileAppending(check: Check): void {
  check('reads any range, with one reader for several at once', async (store) => {
    const { uploads, bufferBytes } = store
    const id = newId()
    const bytes = patternBytes(3 * bufferBytes)
    await append(uploads, id, 0, bytes)
    await using reader = await uploads.openUpload(id)
    const starts = [0, 1, bufferBytes - 1, bufferBytes, 2 * bufferBytes + 7]
    await Promise.all(
      starts.map(async (start) => {
        const read = await collect(reader.read({ start, endInclusive: bytes.length - 2 }))
        assert.ok(read.equals(bytes.subarray(start, -1)), `from byte ${start}`)
      }),
    )
  })

  check('shows a reader what was appended after it was opened', async ({ uploads }) => {
    const id = newId()
    await append(uploads, id, 0, Buffer.alloc(0))
    await using reader = await uploads.openUpload(id)
    await append(uploads, id, 0, Buffer.from('abc'))
    await append(uploads, id, 3, Buffer.from('def'))
    assert.equal((await collect(reader.read(firstBytes(6)))).toString(), 'abcdef')
  })

  check('lets a reader go on after the upload was committed', async (store) => {
    const { uploads, blobs, bufferBytes } = store
    const id = newId()
    const bytes = patternBytes(2 * bufferBytes)
    await append(uploads, id, 0, bytes)
    await using reader = await uploads.openUpload(id)
    await uploads.commitUpload(id, digestOf(bytes))
    assert.ok(bytes.equals(await collect(reader.read(firstBytes(bytes.length)))))
    await blobs.deleteBlob(digestOf(bytes))
    assert.ok(bytes.equals(await collect(reader.read(firstBytes(bytes.length)))))
  })

  check('lets a reader go on after the upload was deleted', async ({ uploads, bufferBytes }) => {
    const id = newId()
    const bytes = patternBytes(2 * bufferBytes)
    await append(uploads, id, 0, bytes)
    await using reader = await uploads.openUpload(id)
    await uploads.deleteUpload(id)
    assert.ok(bytes.equals(await collect(reader.read(firstBytes(bytes.length)))))
    await assert.rejects(uploads.openUpload(id))
  })

  check('opens nothing that was never begun', async ({ uploads }) => {
    await assert.rejects(uploads.openUpload(newId()), { code: 'BLOB_UPLOAD_UNKNOWN' })
  })
}

function brokenSources(check: Check): void {
  for (const [name, size] of [
    ['at once', () => 0],
    ['after a byte', () => 1],
    ['after a buffer', (buffer: number) => buffer],
    ['after two buffers and a byte', (buffer: number) => 2 * buffer + 1],
  ] as const) {
    check(`keeps what came before a source broke ${name}`, async ({ uploads, bufferBytes }) => {
      const id = newId()
      await append(uploads, id, 0, Buffer.from('before'))
      const came = patternBytes(size(bufferBytes))
      const aborted = new Error('the client went away')
      const result = await uploads.appendToUpload(id, 6, thenThrow(came, aborted), unobserved)
      assert.equal(result.appended, came.length)
      assert.equal(result.error, aborted)
      const bytes = Buffer.concat([Buffer.from('before'), came])
      await assertStaged(uploads, id, bytes)
      await append(uploads, id, bytes.length, Buffer.from('after'))
      await assertStaged(uploads, id, Buffer.concat([bytes, Buffer.from('after')]))
    })
  }

  check('reports an Error, whatever the source threw', async ({ uploads }) => {
    const source = thenThrow(Buffer.from('a'), 'a text')
    const result = await uploads.appendToUpload(newId(), 0, source, unobserved)
    assert.ok(result.error instanceof Error)
    assert.equal(result.appended, 1)
  })
}

function offsets(check: Check): void {
  check('cuts what was beyond the offset', async ({ uploads, bufferBytes }) => {
    const id = newId()
    const bytes = patternBytes(2 * bufferBytes)
    await append(uploads, id, 0, bytes)
    await append(uploads, id, 10, Buffer.from('xyz'))
    await assertStaged(uploads, id, Buffer.concat([bytes.subarray(0, 10), Buffer.from('xyz')]))
    const blob = Buffer.concat([bytes.subarray(0, 10), Buffer.from('xyz')])
    // Nothing of the longer upload may be left behind it: it would be part of the blob.
    await append(uploads, id, 13, Buffer.alloc(0))
    await assert.rejects(readStaged(uploads, id, blob.length + 1))
  })

  check('begins anew at offset 0', async ({ uploads }) => {
    const id = newId()
    await append(uploads, id, 0, Buffer.from('the first attempt'))
    await append(uploads, id, 0, Buffer.from('second'))
    await assertStaged(uploads, id, Buffer.from('second'))
    await assert.rejects(readStaged(uploads, id, 7))
  })

  check('refuses an offset that was never reached, and makes up no bytes', async ({ uploads }) => {
    const id = newId()
    await append(uploads, id, 0, Buffer.from('abc'))
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await assert.rejects(append(uploads, id, 10, Buffer.from('x')))
      await assert.rejects(append(uploads, newId(), 10, Buffer.from('x')))
    }
    await assertStaged(uploads, id, Buffer.from('abc'))
    await append(uploads, id, 3, Buffer.from('def'))
    await assertStaged(uploads, id, Buffer.from('abcdef'))
  })
}

function committing(check: Check): void {
  for (const [name, size] of [
    ['nothing', () => 0],
    ['a little', () => 10],
    ['three buffers and a byte', (buffer: number) => 3 * buffer + 1],
  ] as const) {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      check(`makes ${name} a blob of ${algorithm}`, async (store) => {
        const { uploads, blobs, bufferBytes } = store
        const id = newId()
        const bytes = patternBytes(size(bufferBytes))
        const digest = digestOf(bytes, algorithm)
        const half = Math.floor(bytes.length / 2)
        await append(uploads, id, 0, bytes.subarray(0, half))
        await append(uploads, id, half, bytes.subarray(half))
        assert.equal(await blobs.statBlob(digest), undefined, 'visible before it was verified')
        await uploads.commitUpload(id, digest)
        assert.deepEqual(await uploads.listUploads(), [])
        await using reader = await blobs.openBlob(digest)
        assert.ok(bytes.equals(await collect(reader?.read() ?? thenThrow(bytes, 'no blob'))))
      })
    }
  }

  check('commits content that is there already, under its readers', async (store) => {
    const { uploads, blobs, bufferBytes } = store
    const bytes = patternBytes(2 * bufferBytes)
    await blobs.putBlob(digestOf(bytes), bytes)
    await using reader = await blobs.openBlob(digestOf(bytes))
    const ids = [newId(), newId(), newId()]
    for (const id of ids) await append(uploads, id, 0, bytes)
    await Promise.all(ids.map((id) => uploads.commitUpload(id, digestOf(bytes))))
    assert.ok(bytes.equals(await collect(reader?.read() ?? thenThrow(bytes, 'no blob'))))
    assert.equal((await blobs.statBlob(digestOf(bytes)))?.size, bytes.length)
  })

  check('commits nothing that was not staged', async ({ uploads, blobs }) => {
    const digest = digestOf(Buffer.from('x'))
    await assert.rejects(uploads.commitUpload(newId(), digest))
    assert.equal(await blobs.statBlob(digest), undefined)
  })
}

function lifecycle(check: Check): void {
  check('deletes an upload, again too, and one that never was', async ({ uploads }) => {
    const [kept, deleted] = [newId(), newId()]
    for (const id of [kept, deleted]) await append(uploads, id, 0, Buffer.from('abc'))
    await uploads.deleteUpload(deleted)
    await uploads.deleteUpload(deleted)
    await uploads.deleteUpload(newId())
    assert.deepEqual(await uploads.listUploads(), [kept])
    await assertStaged(uploads, kept, Buffer.from('abc'))
  })

  check('keeps staged bytes over a restart', async (store) => {
    const id = newId()
    const bytes = patternBytes(store.bufferBytes + 1)
    await append(store.uploads, id, 0, bytes)
    const { uploads, blobs } = await store.reopen()
    assert.deepEqual(await uploads.listUploads(), [id])
    await append(uploads, id, bytes.length, Buffer.from('more'))
    const whole = Buffer.concat([bytes, Buffer.from('more')])
    await uploads.commitUpload(id, digestOf(whole))
    assert.equal((await blobs.statBlob(digestOf(whole)))?.size, whole.length)
  })
}
