// What a scrub must not do: put aside what a push healed while it was being looked at.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import { ContentLocks } from '../../../src/registry/content-locks.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import type { BlobReader, BlobStore } from '../../../src/registry/ports/blob-store.ts'
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
  const metadata: Partial<MetadataStore> = {
    findDamage: () => Promise.resolve(problem),
    countContent: () => Promise.resolve({ bytes: blob.size } as never),
    listContent: ({ after }) => Promise.resolve(after === undefined ? [blob] : []),
    findHolders: () => Promise.resolve(['a'] as never),
    scanManifests: () => Promise.resolve({ found: [], rows: 0 }),
    noteAllLinks: () => Promise.resolve(),
  }
  const parts = {
    blobs: blobs as BlobStore,
    metadata: metadata as MetadataStore,
    removal: { removeContent: () => Promise.resolve(0) },
    damage,
    locks,
    clock: { now: () => 0 },
    log: silentLog,
  }
  const bounds = {
    rowsPerPage: 10,
    orphanSecondsMin: 0,
    holdersShownMax: 10,
    manifestBytesMax: 1_000_000,
  }
  const signal = new AbortController().signal
  const monitor = { signal, progress: () => undefined, tell: () => Promise.resolve() }
  await new Scrub(parts, bounds).scrub({ repair: true }, monitor)
  return aside
}

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
