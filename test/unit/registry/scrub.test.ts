// What a scrub must not do: put aside what a push healed while it was being looked at.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import { ContentLocks } from '../../../src/registry/content-locks.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import {
  type BlobReader,
  type BlobStore,
  UnreadableContent,
} from '../../../src/registry/ports/blob-store.ts'
import type { MetadataStore } from '../../../src/registry/ports/metadata-store.ts'
import { silentLog } from '../../support/request-context.ts'
import { Scrub } from '../../../src/registry/scrub.ts'

const content = Buffer.from('as it was pushed')
const damaged = Buffer.from('as it was pusheD')
const blob = { digest: digestOf(content), size: content.length }

function readerOf(bytes: Buffer): BlobReader {
  const read = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  return { size: bytes.length, read, [Symbol.asyncDispose]: () => Promise.resolve() }
}

/** @param stored what is there each time that somebody looks. */
async function scrub(
  stored: Buffer[],
  locks: ContentLocks,
  damage = new KnownDamage(),
  problem?: string,
): Promise<string[]> {
  const aside: string[] = []
  const blobs: Partial<BlobStore> = {
    openBlob: () => Promise.resolve(readerOf(stored.shift() ?? content)),
    listBlobs: async function* () {
      yield [{ ...blob, modifiedAt: 0 }]
    },
    quarantineBlob: (digest) => Promise.resolve(void aside.push(digest)),
  }
  const parts = { ...partsOf(blobs, { problem }), damage, locks }
  await new Scrub(parts, bounds).scrub({ repair: true }, monitor)
  return aside
}

const bounds = {
  rowsPerPage: 10,
  orphanSecondsMin: 0,
  holdersShownMax: 10,
  manifestBytesMax: 1_000_000,
}

const monitor = {
  signal: new AbortController().signal,
  progress: () => undefined,
  tell: () => Promise.resolve(),
}

interface Known {
  /** Of the database. */
  readonly problem?: string | undefined
  readonly manifests?: readonly object[]
}

function partsOf(blobs: Partial<BlobStore>, { problem, manifests = [] }: Known) {
  const metadata: Partial<MetadataStore> = {
    findDamage: () => Promise.resolve(problem),
    countContent: () => Promise.resolve({ bytes: blob.size } as never),
    listContent: ({ after }) => Promise.resolve(after === undefined ? [blob] : []),
    findHolders: () => Promise.resolve(['a'] as never),
    scanManifests: () => Promise.resolve({ found: manifests as never, rows: manifests.length }),
  }
  return {
    blobs: blobs as BlobStore,
    metadata: metadata as MetadataStore,
    removal: { removeContent: () => Promise.resolve(0) },
    damage: new KnownDamage(),
    links: { tellAll: () => Promise.resolve() },
    locks: new ContentLocks(),
    clock: { now: () => 0 },
    log: silentLog,
  }
}

test('a manifest that the disk does not give ends no scrub', async () => {
  const read = (): AsyncIterable<Uint8Array> => {
    throw new UnreadableContent(new OciError('UNAVAILABLE'))
  }
  const blobs: Partial<BlobStore> = {
    statBlob: () => Promise.resolve(blob),
    openBlob: () => Promise.resolve({ ...readerOf(content), read }),
    listBlobs: async function* () {
      yield [{ ...blob, modifiedAt: 0 }]
    },
  }
  const mediaType = mediaTypes.ociManifest
  const manifest = { repository: parseRepositoryName('a'), digest: blob.digest, mediaType }
  const told: unknown[] = []
  const report = await new Scrub(partsOf(blobs, { manifests: [manifest] }), bounds).scrub(
    { repair: true },
    { ...monitor, tell: (item) => Promise.resolve(void told.push(item)) },
  )
  assert.deepEqual([report.manifests, report.problems.unreadable, told.length], [1, 1, 1])
})

describe('a damaged blob', () => {
  test('is put aside', async () => {
    assert.deepEqual(await scrub([damaged, damaged], new ContentLocks()), [blob.digest])
  })

  test('stays where the database is damaged, by which nothing is changed', async () => {
    const damage = new KnownDamage()
    const stored = [damaged, damaged]
    assert.deepEqual(await scrub(stored, new ContentLocks(), damage, 'a page is torn'), [])
    assert.equal(damage.database, 'a page is torn')
    assert.deepEqual(await scrub(stored, new ContentLocks(), damage), [])
    assert.equal(damage.database, undefined)
  })

  test('that a push healed while it was looked at stays', async () => {
    assert.deepEqual(await scrub([damaged, content], new ContentLocks()), [])
  })

  test('that somebody pushes now is left to that push', async () => {
    const locks = new ContentLocks()
    await locks.whileStoring(blob.digest, async () => {
      assert.deepEqual(await scrub([damaged, damaged], locks), [])
    })
  })
})
