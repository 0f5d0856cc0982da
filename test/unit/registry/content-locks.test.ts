// Storing and removing the same content at the same moment: whatever is acknowledged has its bytes,
// whoever stores it and however the two meet.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName, type RepositoryName } from '../../../src/oci/repository-name.ts'
import { ContentLocks } from '../../../src/registry/content-locks.ts'
import { Fills } from '../../../src/registry/fills.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import { Manifests } from '../../../src/registry/manifests.ts'
import type { BlobStore } from '../../../src/registry/ports/blob-store.ts'
import type { MetadataStore } from '../../../src/registry/ports/metadata-store.ts'
import type { UpstreamBlob } from '../../../src/registry/ports/upstream.ts'
import { ContentRemoval } from '../../../src/registry/remove-content.ts'
import { Uploads } from '../../../src/registry/uploads.ts'
import { collect, inPieces } from '../../support/bytes.ts'
import { Gate } from '../../support/fake-upstream-behaviours.ts'
import { noTagPolicy, noUses } from '../../support/no-policy.ts'
import { requestContext, silentLog } from '../../support/request-context.ts'
import { withMethod } from '../../support/with-method.ts'
import {
  type RegistryUnderTest,
  startTemporaryRegistry,
} from '../../simulation/registry-under-test.ts'
import { noLinks } from '../../support/no-links.ts'

const context = requestContext()
const pushed = parseRepositoryName('a')
const cached = 'f/host/a' as RepositoryName

type Stores = Pick<RegistryUnderTest, 'metadata' | 'blobStore' | 'uploadStore' | 'locks'>

/** The registry's verbs over stores of which a test replaced something. */
function verbsOf({ metadata, blobStore: blobs, uploadStore, locks }: Stores) {
  const clock = { now: () => 1 }
  const damage = new KnownDamage()
  const stores = { metadata, blobs, uploads: uploadStore, locks, damage, clock }
  const settings = {
    referencesMax: 10,
    cacheEntriesMax: 10,
    cacheBytesMax: 10_000,
    tagPolicy: noTagPolicy,
  }
  const none = {
    keep: (record: () => Promise<void>) => record(),
    [Symbol.dispose]: () => undefined,
  }
  const room = { reserve: () => none, use: () => none, add: () => undefined }
  return {
    uploads: new Uploads(stores, { digestersMax: 1 }),
    manifests: new Manifests({ ...stores, uses: noUses, links: noLinks }, settings),
    fills: new Fills(
      { ...stores, room, log: silentLog },
      {
        heldBackBytes: 1,
        fruitlessTriesMax: 0,
        retryDelaySeconds: 0,
        retryAfterSecondsMax: 0,
        tooLargeRememberedMax: 1,
      },
    ),
  }
}

type Verbs = ReturnType<typeof verbsOf>

interface Writer {
  readonly name: string
  readonly content: Buffer
  /** Resolves when the content is acknowledged. */
  readonly store: (verbs: Verbs, bytes: Buffer, digest: Digest) => Promise<unknown>
}

const content = Buffer.from('content')
const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }))

const writers: readonly Writer[] = [
  {
    name: 'a blob in one request',
    content,
    store: ({ uploads }, bytes, digest) =>
      uploads.pushBlob(context, pushed, digest, { bytes: inPieces(bytes, 3) }),
  },
  {
    name: 'an upload session',
    content,
    store: async ({ uploads }, bytes, digest) => {
      const { id } = await uploads.startUpload(pushed, 'sha256')
      const chunk = { bytes: inPieces(bytes, 3) }
      await uploads.completeUpload(context, pushed, id, { digest, chunk })
    },
  },
  {
    name: 'a manifest',
    content: manifest,
    store: ({ manifests }, bytes, digest) =>
      manifests.putManifest(context, pushed, {
        reference: parseReference(digest),
        bytes,
        contentType: mediaTypes.ociIndex,
        tags: [],
      }),
  },
  {
    name: 'a manifest of an upstream',
    content: manifest,
    store: ({ manifests }, bytes, digest) =>
      manifests.cacheManifest(
        context,
        cached,
        { digest, bytes, size: bytes.length, mediaType: mediaTypes.ociIndex },
        [],
      ),
  },
  {
    name: 'a blob of an upstream',
    content,
    store: async ({ fills }, bytes, digest) => {
      const open = async (): Promise<UpstreamBlob> => ({
        size: bytes.length,
        offset: 0,
        chunks: inPieces(bytes, 3),
        [Symbol.asyncDispose]: async () => undefined,
      })
      const { reader } = await fills.open({
        repository: cached,
        host: 'host',
        digest,
        flight: '',
        findSize: async () => undefined,
        open,
      })
      await collect(reader.read())
      await reader[Symbol.asyncDispose]()
      await fills[Symbol.asyncDispose]()
    },
  },
]

async function isWhole(blobs: BlobStore, bytes: Buffer): Promise<boolean> {
  await using reader = await blobs.openBlob(digestOf(bytes))
  return reader !== undefined && (await collect(reader.read())).equals(bytes)
}

async function isKnown(metadata: MetadataStore, digest: Digest): Promise<boolean> {
  return (await metadata.forgetContent([digest])).length === 0
}

function removalOf(parts: ConstructorParameters<typeof ContentRemoval>[0]): ContentRemoval {
  return new ContentRemoval(parts, { atOnceMax: 2 })
}

for (const { name, content: bytes, store } of writers) {
  const digest = digestOf(bytes)
  const record = { digest, size: bytes.length }

  describe(`${name}, stored while the same content is removed`, () => {
    test('comes after the removal, with its bytes', async () => {
      await using started = await startTemporaryRegistry()
      const { metadata, blobStore, uploadStore, locks } = started.registry
      await blobStore.putBlob(digest, bytes)
      const [removing, mayGoOn, atTheDoor] = [new Gate(), new Gate(), new Gate()]
      const events: string[] = []
      const blobs = withMethod(blobStore, 'deleteBlob', async (which) => {
        removing.open()
        await mayGoOn.opened
        events.push('remove')
        await blobStore.deleteBlob(which)
      })
      const removal = removalOf({ metadata, blobs, locks }).removeContent([record])
      await removing.opened
      const verbs = verbsOf({
        metadata,
        blobStore: withMethod(blobStore, 'putBlob', (...args) => {
          events.push('store')
          return blobStore.putBlob(...args)
        }),
        uploadStore: withMethod(uploadStore, 'commitUpload', (...args) => {
          events.push('store')
          return uploadStore.commitUpload(...args)
        }),
        locks: withMethod(locks, 'whileStoring', (...args) => {
          const storing = locks.whileStoring(...args)
          atTheDoor.open()
          return storing
        }),
      })
      const storing = store(verbs, bytes, digest)
      await atTheDoor.opened
      mayGoOn.open()
      assert.equal(await removal, bytes.length)
      await storing
      assert.deepEqual(events, ['remove', 'store'])
      assert.equal(await isKnown(metadata, digest), true)
      assert.equal(await isWhole(blobStore, bytes), true)
    })

    test('is left alone when its bytes are here and its row is not yet', async () => {
      await using started = await startTemporaryRegistry()
      const { metadata, blobStore, locks } = started.registry
      const removal = removalOf({ metadata, blobs: blobStore, locks })
      let removed: number | undefined
      const remove = async (): Promise<void> => {
        removed = await removal.removeContent([record])
      }
      const inBetween: MetadataStore = withMethod(
        withMethod(metadata, 'putBlob', async (...args) => {
          await remove()
          await metadata.putBlob(...args)
        }),
        'putManifest',
        async (...args) => {
          await remove()
          return metadata.putManifest(...args)
        },
      )
      await store(verbsOf({ ...started.registry, metadata: inBetween }), bytes, digest)
      assert.equal(removed, 0)
      assert.equal(await isWhole(blobStore, bytes), true)
      assert.equal(removal.waitingBytes, bytes.length)
      // The next removal finds that somebody has it.
      assert.equal(await removal.removeContent([]), 0)
      assert.equal(removal.waitingBytes, 0)
      assert.equal(await isWhole(blobStore, bytes), true)
    })
  })
}

describe('the locks of content', () => {
  const digest = digestOf(content)

  test('let any number of writers store the same at once', async () => {
    const locks = new ContentLocks()
    const gate = new Gate()
    const all = [1, 2, 3].map((value) =>
      locks.whileStoring(digest, async () => {
        if (value === 3) gate.open()
        await gate.opened
        return value
      }),
    )
    assert.deepEqual(await Promise.all(all), [1, 2, 3])
  })

  test('are free again after a failure on either side', async () => {
    const locks = new ContentLocks()
    const failing = (): Promise<never> => Promise.reject(new Error('disk'))
    await assert.rejects(locks.whileStoring(digest, failing), /disk/)
    await assert.rejects(locks.whileRemoving([digest], failing), /disk/)
    assert.equal(await locks.whileStoring(digest, async () => 1), 1)
    assert.deepEqual(await locks.whileRemoving([digest], freeOnes), [digest])
  })

  test('are of one digest each: what is being stored is left out of a removal', async () => {
    const locks = new ContentLocks()
    const other = digestOf(manifest)
    const free = await locks.whileStoring(digest, () =>
      locks.whileRemoving([digest, other], freeOnes),
    )
    assert.deepEqual(free, [other])
  })

  test('let only one remove the same', async () => {
    const locks = new ContentLocks()
    const gate = new Gate()
    const first = locks.whileRemoving([digest], () => gate.opened)
    assert.deepEqual(await locks.whileRemoving([digest], freeOnes), [])
    gate.open()
    await first
    assert.deepEqual(await locks.whileRemoving([digest], freeOnes), [digest])
  })
})

async function freeOnes(free: readonly Digest[]): Promise<readonly Digest[]> {
  return free
}

test('bytes that could not be removed are removed by the next removal', async () => {
  await using started = await startTemporaryRegistry()
  const { metadata, blobStore: blobs, locks, faults } = started.registry
  const removal = removalOf({ metadata, blobs, locks })
  const contents = ['1', '22', '333', '4444', '55555'].map((text) => Buffer.from(text))
  const records = contents.map((bytes) => ({ digest: digestOf(bytes), size: bytes.length }))
  for (const [index, record] of records.entries()) {
    await metadata.putBlob(pushed, record)
    await blobs.putBlob(record.digest, contents[index] ?? content)
    await metadata.deleteBlob(pushed, record.digest)
  }
  faults.arm({ code: 'EIO', moment: 'before' }, { skip: 2 })
  await assert.rejects(removal.removeContent(records), { code: 'UNAVAILABLE' })
  faults.disarm()
  // Two at a time: the first three could be tried, and one of these failed.
  assert.equal(removal.waitingBytes, 15 - 1 - 2 - 4)
  assert.equal(await removal.removeContent([]), 8)
  assert.equal(removal.waitingBytes, 0)
  for (const { digest } of records) assert.equal(await blobs.statBlob(digest), undefined)
})
