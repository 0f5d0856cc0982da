// What every blob store does, as `src/registry/ports.ts` promises it: bytes come back as they went
// in, in any range, and stay readable for whoever opened them.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '../../src/oci/digest.ts'
import type { BlobReader, BlobStore } from '../../src/registry/ports/blob-store.ts'
import { collect, patternBytes } from '../support/bytes.ts'

export interface BlobStoreUnderTest extends AsyncDisposable {
  readonly blobs: BlobStore
  /** Where the driver's buffers turn over. */
  readonly bufferBytes: number
  /** What is open or staged though nothing is under way. */
  leaks(): Promise<string[]>
}

export function blobStoreContract(name: string, open: () => Promise<BlobStoreUnderTest>): void {
  /** A test on an empty store, which has to leave nothing behind. */
  function check(title: string, work: (store: BlobStoreUnderTest) => Promise<void>): void {
    test(title, async () => {
      await using store = await open()
      await work(store)
      assert.deepEqual(await store.leaks(), [])
    })
  }

  describe(`${name} as a blob store`, () => {
    check('has nothing at first', absence)
    bytesRoundTrip(check)
    ranges(check)
    readers(check)
    check('takes the same content again, from many at once', repeatedPuts)
    check('forgets what is deleted, and deleting again is no error', deletion)
    listings(check)
    check('puts damaged bytes aside, and takes the blob again', quarantine)
    check('says how many bytes there is room for', freeSpace)
    check('can check itself', async ({ blobs }) => blobs.check())
  })
}

type Check = (title: string, work: (store: BlobStoreUnderTest) => Promise<void>) => void

async function openExisting(blobs: BlobStore, content: Buffer): Promise<BlobReader> {
  const reader = await blobs.openBlob(digestOf(content))
  assert.ok(reader !== undefined, 'the blob was put and is not there')
  return reader
}

/** On a disk that others use too, so no more can be said; `freeBytes` of a small one has a test of its own. */
async function freeSpace({ blobs }: BlobStoreUnderTest): Promise<void> {
  const content = patternBytes(100_000)
  const free = await blobs.freeBytes()
  assert.ok(Number.isSafeInteger(free) && free > content.length, `${free} bytes are free`)
  await blobs.putBlob(digestOf(content), content)
  assert.ok(Number.isSafeInteger(await blobs.freeBytes()))
}

async function absence({ blobs }: BlobStoreUnderTest): Promise<void> {
  const digest = digestOf(Buffer.from('never put'))
  assert.equal(await blobs.statBlob(digest), undefined)
  assert.equal(await blobs.openBlob(digest), undefined)
  await blobs.deleteBlob(digest)
}

function bytesRoundTrip(check: Check): void {
  const sizes: [name: string, size: (buffer: number) => number][] = [
    ['no byte', () => 0],
    ['one byte', () => 1],
    ['a quarter of a buffer', (buffer) => buffer / 4],
    ['a byte less than a buffer', (buffer) => buffer - 1],
    ['a buffer', (buffer) => buffer],
    ['a byte more than a buffer', (buffer) => buffer + 1],
    ['three buffers', (buffer) => 3 * buffer],
    ['three buffers and a byte', (buffer) => 3 * buffer + 1],
  ]
  for (const [name, size] of sizes) {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      check(`gives back ${name} under ${algorithm}`, async ({ blobs, bufferBytes }) => {
        const content = patternBytes(size(bufferBytes))
        const digest = digestOf(content, algorithm)
        await blobs.putBlob(digest, content)
        assert.deepEqual(await blobs.statBlob(digest), { digest, size: content.length })
        await using reader = await blobs.openBlob(digest)
        assert.ok(reader !== undefined)
        assert.equal(reader.size, content.length)
        assert.ok(content.equals(await collect(reader.read())))
      })
    }
  }
}

function ranges(check: Check): void {
  check('gives any range, several of one reader at once too', async ({ blobs, bufferBytes }) => {
    const content = patternBytes(3 * bufferBytes + 7)
    await blobs.putBlob(digestOf(content), content)
    await using reader = await openExisting(blobs, content)
    const last = content.length - 1
    const wanted = [
      [0, 0],
      [last, last],
      [0, last],
      [1, last - 1],
      [bufferBytes - 1, bufferBytes],
      [bufferBytes, 2 * bufferBytes - 1],
      [bufferBytes + 3, bufferBytes + 3],
      [5, 2 * bufferBytes + 5],
    ] as const
    await Promise.all(
      wanted.map(async ([start, endInclusive]) => {
        const bytes = await collect(reader.read({ start, endInclusive }))
        const expected = content.subarray(start, endInclusive + 1)
        assert.ok(bytes.equals(expected), `bytes ${start} to ${endInclusive}`)
      }),
    )
  })
}

function readers(check: Check): void {
  check('leaves a chunk alone while its reader pauses', async ({ blobs, bufferBytes }) => {
    const content = patternBytes(4 * bufferBytes)
    await blobs.putBlob(digestOf(content), content)
    await using reader = await openExisting(blobs, content)
    let offset = 0
    for await (const chunk of reader.read()) {
      // What reads ahead has every chance to write into the wrong buffer now.
      for (let turn = 0; turn < 3; turn += 1) await blobs.statBlob(digestOf(content))
      assert.ok(content.subarray(offset, offset + chunk.length).equals(chunk), `at byte ${offset}`)
      offset += chunk.length
    }
    assert.equal(offset, content.length)
  })

  check('serves many readers at once', async ({ blobs, bufferBytes }) => {
    const contents = Array.from({ length: 8 }, (_, seed) => patternBytes(2 * bufferBytes + 1, seed))
    for (const content of contents) await blobs.putBlob(digestOf(content), content)
    await Promise.all(
      [...contents, ...contents].map(async (content) => {
        await using reader = await openExisting(blobs, content)
        assert.ok(content.equals(await collect(reader.read())))
      }),
    )
  })

  check('lets a reader go on after the blob was deleted', async ({ blobs, bufferBytes }) => {
    const content = patternBytes(4 * bufferBytes)
    await blobs.putBlob(digestOf(content), content)
    await using before = await openExisting(blobs, content)
    await using midway = await openExisting(blobs, content)
    const copies: Buffer[] = []
    for await (const chunk of midway.read()) {
      copies.push(Buffer.from(chunk))
      await blobs.deleteBlob(digestOf(content))
    }
    assert.ok(content.equals(Buffer.concat(copies)))
    assert.ok(content.equals(await collect(before.read())))
    assert.equal(await blobs.openBlob(digestOf(content)), undefined)
  })

  check('lets a reader stop midway, time and again', async ({ blobs, bufferBytes }) => {
    const content = patternBytes(4 * bufferBytes)
    await blobs.putBlob(digestOf(content), content)
    for (let time = 0; time < 20; time += 1) {
      await using reader = await openExisting(blobs, content)
      for await (const chunk of reader.read()) {
        assert.ok(chunk.length > 0)
        break
      }
    }
    await using reader = await openExisting(blobs, content)
    assert.ok(content.equals(await collect(reader.read())))
  })

  check('lets a reader stop with an error of its own', async ({ blobs, bufferBytes }) => {
    const content = patternBytes(4 * bufferBytes)
    await blobs.putBlob(digestOf(content), content)
    const clientGone = new Error('the client is gone')
    const sending = async (): Promise<void> => {
      await using reader = await openExisting(blobs, content)
      for await (const chunk of reader.read()) if (chunk.length > 0) throw clientGone
    }
    await assert.rejects(sending, clientGone)
  })

  check('lets a reader go that never read', async ({ blobs }) => {
    const content = patternBytes(100)
    await blobs.putBlob(digestOf(content), content)
    await using reader = await openExisting(blobs, content)
    reader.read()
  })
}

async function repeatedPuts({ blobs, bufferBytes }: BlobStoreUnderTest): Promise<void> {
  const content = patternBytes(bufferBytes)
  const digest = digestOf(content)
  await blobs.putBlob(digest, content)
  await using early = await openExisting(blobs, content)
  await Promise.all(Array.from({ length: 16 }, () => blobs.putBlob(digest, content)))
  await using late = await openExisting(blobs, content)
  assert.ok(content.equals(await collect(early.read())))
  assert.ok(content.equals(await collect(late.read())))
}

async function deletion({ blobs }: BlobStoreUnderTest): Promise<void> {
  const [kept, deleted] = [patternBytes(10, 1), patternBytes(10, 2)]
  for (const content of [kept, deleted]) await blobs.putBlob(digestOf(content), content)
  await blobs.deleteBlob(digestOf(deleted))
  await blobs.deleteBlob(digestOf(deleted))
  assert.equal(await blobs.statBlob(digestOf(deleted)), undefined)
  assert.equal(await blobs.openBlob(digestOf(deleted)), undefined)
  await using reader = await openExisting(blobs, kept)
  assert.ok(kept.equals(await collect(reader.read())))
  await blobs.putBlob(digestOf(deleted), deleted)
  assert.deepEqual(await blobs.statBlob(digestOf(deleted)), { digest: digestOf(deleted), size: 10 })
}

function listings(check: Check): void {
  check('lists all that is stored, in the order of the digests', async ({ blobs }) => {
    assert.deepEqual((await Array.fromAsync(blobs.listBlobs())).flat(), [])
    const contents = Array.from({ length: 40 }, (_, seed) => patternBytes(seed + 1, seed))
    const digests: string[] = []
    for (const [index, content] of contents.entries()) {
      const digest = digestOf(content, index % 4 === 0 ? 'sha512' : 'sha256')
      await blobs.putBlob(digest, content)
      digests.push(digest)
    }
    const listed = (await Array.fromAsync(blobs.listBlobs())).flat()
    const names = listed.map(({ digest }) => digest)
    assert.deepEqual(names, digests.toSorted())
    assert.equal(
      listed.reduce((sum, { size }) => sum + size, 0),
      contents.reduce((sum, { length }) => sum + length, 0),
    )
    for (const { modifiedAt } of listed) assert.ok(Math.abs(Date.now() - modifiedAt) < 3_600_000)
    for (const from of [0, 17, names.length - 1]) {
      const rest = (await Array.fromAsync(blobs.listBlobs(names[from]))).flat()
      assert.deepEqual(
        rest.map(({ digest }) => digest),
        names.slice(from + 1),
      )
    }
  })

  check('lists on while blobs are deleted', async ({ blobs }) => {
    const contents = Array.from({ length: 30 }, (_, seed) => patternBytes(20, seed))
    for (const content of contents) await blobs.putBlob(digestOf(content), content)
    const seen = new Set<string>()
    for await (const page of blobs.listBlobs()) {
      for (const { digest } of page) seen.add(digest)
      await Promise.all(contents.map((content) => blobs.deleteBlob(digestOf(content))))
    }
    assert.ok(seen.size >= 1 && seen.size <= contents.length)
    assert.deepEqual((await Array.fromAsync(blobs.listBlobs())).flat(), [])
  })

  check('lets a listing stop midway', async ({ blobs }) => {
    for (const seed of [1, 2, 3]) {
      await blobs.putBlob(digestOf(patternBytes(9, seed)), patternBytes(9, seed))
    }
    for await (const page of blobs.listBlobs()) {
      assert.ok(page.length > 0)
      break
    }
  })
}

async function quarantine({ blobs }: BlobStoreUnderTest): Promise<void> {
  const content = patternBytes(10)
  const digest = digestOf(content)
  await blobs.quarantineBlob(digest)
  for (let time = 0; time < 2; time += 1) {
    await blobs.putBlob(digest, content)
    await using before = await openExisting(blobs, content)
    await blobs.quarantineBlob(digest)
    await blobs.quarantineBlob(digest)
    assert.equal(await blobs.statBlob(digest), undefined)
    assert.equal(await blobs.openBlob(digest), undefined)
    assert.deepEqual((await Array.fromAsync(blobs.listBlobs())).flat(), [])
    assert.ok(content.equals(await collect(before.read())))
  }
  await blobs.putBlob(digest, content)
  assert.deepEqual(await blobs.statBlob(digest), { digest, size: 10 })
}
