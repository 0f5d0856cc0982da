// What pushes and fills are worth does not depend on where their digests are computed, nor on whether that
// goes on: on the event loop, in a thread, in one that ends in the middle, in one that never starts, in one that
// hangs.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Digest, digestAlgorithm, digestOf } from '../../src/oci/digest.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import { UpstreamError } from '../../src/oci/upstream-error.ts'
import type { CacheRoom } from '../../src/registry/eviction.ts'
import type { FillSource } from '../../src/registry/fill-source.ts'
import { Fills } from '../../src/registry/fills.ts'
import { loopHashing } from '../../src/registry/loop-hashing.ts'
import type { Hashing } from '../../src/registry/ports/hashing.ts'
import { Uploads } from '../../src/registry/uploads.ts'
import type { HashThreadSettings } from '../../src/storage/hashing/hash-thread.ts'
import { ThreadHashing } from '../../src/storage/hashing/thread-hashing.ts'
import { startTemporaryRegistry } from '../simulation/registry-under-test.ts'
import { collect, inPieces, patternBytes, thenThrow } from '../support/bytes.ts'
import {
  endingThread,
  missingThread,
  silentThread,
  threadSettings,
} from '../support/hash-thread-settings.ts'
import { requestContext, silentLog } from '../support/request-context.ts'
import { withMethod } from '../support/with-method.ts'

const context = requestContext()
const repository = parseRepositoryName('a')
const content = patternBytes(100_000)
const pieceBytes = 700
const wrong = {
  sha256: digestOf(Buffer.from('other'), 'sha256'),
  sha512: digestOf(Buffer.from('other'), 'sha512'),
}
const cuts = [0, 30_000, 30_001, 90_000, content.length]

const room: CacheRoom = {
  reserve: () => ({
    keep: (record: () => Promise<void>) => record(),
    [Symbol.dispose]: () => undefined,
  }),
  use: () => ({ [Symbol.dispose]: () => undefined }),
  add: () => undefined,
}

async function start(makeHashing: () => Hashing & Partial<AsyncDisposable>) {
  const started = await startTemporaryRegistry()
  const { registry, clock } = started
  const hashing = makeHashing()
  let readsOfStaged = 0
  const uploadStore = withMethod(registry.uploadStore, 'openUpload', (id) => {
    readsOfStaged += 1
    return registry.uploadStore.openUpload(id)
  })
  const { metadata, locks } = registry
  const stores = { metadata, uploads: uploadStore, locks, clock, hashing }
  const uploads = new Uploads(stores, { digestersMax: 1 })
  const fills = new Fills(
    { ...stores, room, log: silentLog },
    {
      heldBackBytes: 1_000,
      fruitlessTriesMax: 0,
      retryDelaySeconds: 0,
      retryAfterSecondsMax: 0,
      tooLargeRememberedMax: 1,
    },
  )
  return {
    registry,
    uploads,
    fills,
    readsOfStaged: () => readsOfStaged,
    async assertStored(digest: Digest): Promise<void> {
      await using reader = await registry.blobStore.openBlob(digest)
      assert.ok(content.equals(await collect(reader?.read() ?? thenThrow(content, 'no blob'))))
    },
    async assertNothing(digest: Digest): Promise<void> {
      assert.equal(await registry.blobStore.statBlob(digest), undefined)
      assert.deepEqual(await registry.listStaged(), [])
    },
    [Symbol.asyncDispose]: async () => {
      await fills[Symbol.asyncDispose]()
      await hashing[Symbol.asyncDispose]?.()
      await started[Symbol.asyncDispose]()
    },
  }
}

type Started = Awaited<ReturnType<typeof start>>

/** A body, with or without a length. */
function chunkOf(bytes: Uint8Array, hasLength: boolean) {
  return { bytes: inPieces(bytes, pieceBytes), ...(hasLength && { length: bytes.length }) }
}

/** Each from nothing to a blob. */
const ways: [name: string, push: (started: Started, digest: Digest) => Promise<unknown>][] = [
  [
    'in one request',
    ({ uploads }, digest) => uploads.pushBlob(context, repository, digest, chunkOf(content, true)),
  ],
  [
    'in one request of unknown length',
    ({ uploads }, digest) => uploads.pushBlob(context, repository, digest, chunkOf(content, false)),
  ],
  [
    'in chunks',
    async ({ uploads }, digest) => {
      const { id } = await uploads.startUpload(repository, digestAlgorithm(digest))
      for (const [index, begin] of cuts.slice(0, -1).entries()) {
        const chunk = chunkOf(content.subarray(begin, cuts[index + 1]), true)
        await uploads.appendToUpload(repository, id, chunk)
      }
      const last = { digest, chunk: chunkOf(content.subarray(0, 0), true) }
      return uploads.completeUpload(context, repository, id, last)
    },
  ],
  [
    'in chunks, the last one of them with the digest',
    async ({ uploads }, digest) => {
      const { id } = await uploads.startUpload(repository, digestAlgorithm(digest))
      await uploads.appendToUpload(repository, id, chunkOf(content.subarray(0, 60_000), false))
      const last = { digest, chunk: chunkOf(content.subarray(60_000), true) }
      return uploads.completeUpload(context, repository, id, last)
    },
  ],
  [
    'by a client that went away in the middle, and while the disk was full for a moment',
    async ({ uploads, registry }, digest) => {
      const { id } = await uploads.startUpload(repository, digestAlgorithm(digest))
      const gone = new Error('the client went away')
      const bytes = thenThrow(content.subarray(0, 60_000), gone)
      await assert.rejects(uploads.appendToUpload(repository, id, { bytes, length: 100_000 }), gone)
      registry.faults.arm({ code: 'ENOSPC', moment: 'after' })
      const rest = () => chunkOf(content.subarray(60_000), true)
      await assert.rejects(uploads.appendToUpload(repository, id, rest()), { code: 'STORAGE_FULL' })
      registry.faults.disarm()
      return uploads.completeUpload(context, repository, id, { digest, chunk: rest() })
    },
  ],
]

/** An upstream that has `bytes`, and whose first transfer breaks off. */
function sourceOf(bytes: Buffer, digest: Digest, breaksAt = Infinity): FillSource {
  let isFirst = true
  return {
    repository,
    host: 'upstream.test',
    digest,
    flight: '',
    findSize: async () => undefined,
    open: async (offset) => {
      const broken = new UpstreamError('cut', { host: 'upstream.test', problem: 'connection' })
      const chunks =
        isFirst && breaksAt < bytes.length
          ? thenThrow(bytes.subarray(offset, breaksAt), broken)
          : inPieces(bytes.subarray(offset), pieceBytes)
      isFirst = false
      const end = async (): Promise<void> => undefined
      return { size: bytes.length, offset, chunks, [Symbol.asyncDispose]: end }
    },
  }
}

interface Place {
  readonly name: string
  readonly make: () => Hashing & Partial<AsyncDisposable>
  /** Whether digests are known without reading what is staged. */
  readonly lasts: boolean
}

const thread = (settings: Partial<HashThreadSettings> = {}): Hashing & AsyncDisposable =>
  new ThreadHashing(silentLog, { ...threadSettings, retrySeconds: 0, ...settings })
const hanging = { program: silentThread, silenceSecondsMax: 0.01 }
const places: Place[] = [
  { name: 'on the event loop', make: () => loopHashing, lasts: true },
  { name: 'in a thread', make: () => thread(), lasts: true },
  {
    name: 'in a thread that ends in the middle',
    make: () => thread({ program: endingThread }),
    lasts: false,
  },
  {
    name: 'in a thread that never starts',
    make: () => thread({ program: missingThread }),
    lasts: false,
  },
  { name: 'in a thread that hangs', make: () => thread(hanging), lasts: false },
]

for (const { name, make, lasts } of places) {
  describe(`hashed ${name}`, () => {
    for (const [way, push] of ways) {
      test(`a blob is pushed ${way}, and refused with a wrong digest`, async () => {
        await using started = await start(make)
        for (const algorithm of ['sha256', 'sha512'] as const) {
          await assert.rejects(push(started, wrong[algorithm]), { code: 'DIGEST_INVALID' })
          await started.assertNothing(wrong[algorithm])
          const before = started.readsOfStaged()
          const digest = digestOf(content, algorithm)
          await push(started, digest)
          await started.assertStored(digest)
          // The disk that was full took the digest with what it did not keep.
          const isKnown = lasts && !way.includes('disk')
          assert.equal(started.readsOfStaged() - before, isKnown ? 0 : 1)
        }
      })
    }

    for (const [what, breaksAt] of [
      ['in one transfer', Infinity],
      ['in two transfers, the first of which breaks off', 40_000],
    ] as const) {
      test(`a blob is fetched ${what}`, async () => {
        await using started = await start(make)
        const { reader, ended } = await started.fills.open(
          sourceOf(content, digestOf(content), breaksAt),
        )
        await using blob = reader
        assert.ok(content.equals(await collect(blob.read())))
        await ended
        await started.assertStored(digestOf(content))
        // Once for those who read it while it comes.
        assert.equal(started.readsOfStaged() === 1, lasts)
      })

      test(`wrong bytes that are fetched ${what} are not kept, nor given whole`, async () => {
        await using started = await start(make)
        const { reader, ended } = await started.fills.open(
          sourceOf(content, wrong.sha256, breaksAt),
        )
        await using blob = reader
        let received = 0
        const read = async (): Promise<void> => {
          for await (const bytes of blob.read()) received += bytes.length
        }
        await assert.rejects(read(), UpstreamError)
        assert.ok(received <= content.length - 1_000)
        await ended
        await started.assertNothing(wrong.sha256)
      })
    }

    test('nobody gets other bytes after those of a fill that the disk ended', async () => {
      await using started = await start(make)
      started.registry.faults.arm({ code: 'ENOSPC', moment: 'midway' }, { skip: 2 })
      const { reader, ended } = await started.fills.open(sourceOf(content, digestOf(content)))
      await using blob = reader
      // When the thread is gone, too, nobody knows what its readers have got.
      if (lasts) assert.ok(content.equals(await collect(blob.read())))
      else await assert.rejects(collect(blob.read()), UpstreamError)
      await ended
      await started.assertNothing(digestOf(content))
    })
  })
}
