// The part of the metadata stores' contract that is about garbage collection: what nobody needs is
// found, part by part, and nothing is forgotten that somebody needs, was promised, or has cached.

import assert from 'node:assert/strict'
import type { Digest } from '../../src/oci/digest.ts'
import type { RepositoryName } from '../../src/oci/repository-name.ts'
import type { Scan, Scanned } from '../../src/registry/ports/collection-metadata.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import {
  blob,
  digest,
  latest,
  manifest,
  type MetadataCheck as Check,
  other,
  repository,
  unknown,
} from './metadata-entries.ts'

const cached = 'f/docker.io/library/app' as RepositoryName
const minute = 60_000

/** All there is to find, in parts of so many rows. */
async function scanAll<T>(look: (scan: Scan) => Promise<Scanned<T>>, rows = 2): Promise<T[]> {
  const all: T[] = []
  let after: string | undefined
  do {
    const { found, next } = await look({ rows, ...(after !== undefined && { after }) })
    assert.ok(found.length <= rows)
    all.push(...found)
    after = next
  } while (after !== undefined)
  return all
}

async function unneeded(m: MetadataStore, before: number, rows = 2): Promise<Digest[]> {
  const found = await scanAll((scan) => m.scanUnneededBlobs(before, scan), rows)
  return found.map((entry) => entry.digest)
}

function sorted(texts: readonly string[]): Digest[] {
  return texts.map(digest).toSorted()
}

export function metadataCollection(check: Check): void {
  unneededBlobs(check)
  promises(check)
  unlinking(check)
  nobodys(check)
}

function unneededBlobs(check: Check): void {
  check('finds blobs that no manifest of their repository refers to', async (m, clock) => {
    for (const text of ['config', 'loose']) await m.putBlob(repository, blob(text))
    await m.putBlob(other, blob('config'))
    const optional = { blobs: [digest('config')], optionalBlobs: [digest('foreign')] }
    await m.putBlob(repository, blob('foreign'))
    await m.putManifest(repository, manifest('m', optional), [latest])
    const before = clock.now() + 1
    const found = await scanAll((scan) => m.scanUnneededBlobs(before, scan))
    assert.deepEqual(
      found.toSorted((a, b) => (a.repository < b.repository ? -1 : 1)),
      [
        { repository, ...blob('loose') },
        { repository: other, ...blob('config') },
      ],
    )
  })

  check('finds none that was put, or put again, since', async (m, clock) => {
    for (const text of ['a', 'b']) await m.putBlob(repository, blob(text))
    clock.advance(minute)
    await m.putBlob(repository, blob('a'))
    assert.deepEqual(await unneeded(m, clock.now()), [digest('b')])
    assert.deepEqual(await unneeded(m, clock.now() - minute), [])
    assert.deepEqual(await unneeded(m, clock.now() + 1), sorted(['a', 'b']))
  })

  check('finds none that was mounted since, though it was there already', async (m, clock) => {
    await m.putBlob(repository, blob('x'))
    await m.putBlob(other, blob('x'))
    clock.advance(minute)
    await m.mountBlob(other, digest('x'), repository)
    const found = await scanAll((scan) => m.scanUnneededBlobs(clock.now(), scan))
    assert.deepEqual(
      found.map((entry) => entry.repository),
      [repository],
    )
  })

  check('leaves what is cached to eviction', async (m, clock) => {
    await m.putBlob(cached, blob('x'))
    assert.deepEqual(await unneeded(m, clock.now() + 1), [])
  })

  check('finds them in parts of any size, each once', async (m, clock) => {
    const texts = Array.from({ length: 25 }, (_, index) => `blob ${index}`)
    for (const [index, text] of texts.entries()) {
      await m.putBlob(index % 2 === 0 ? repository : other, blob(text))
    }
    for (const rows of [1, 2, 5, 24, 25, 26, 100]) {
      const found = await unneeded(m, clock.now() + 1, rows)
      assert.deepEqual(found.toSorted(), sorted(texts), `parts of ${rows}`)
    }
  })
}

function promises(check: Check): void {
  check('finds a blob for who is told of it, and keeps it from then on', async (m, clock) => {
    await m.putBlob(repository, blob('x'))
    clock.advance(minute)
    const now = clock.now()
    assert.deepEqual(await m.promiseBlob(repository, digest('x'), now), blob('x'))
    assert.deepEqual(await unneeded(m, now), [])
    assert.deepEqual(await unneeded(m, now + 1), [digest('x')])
  })

  check('notes a promise anew only when the last one is old enough', async (m, clock) => {
    await m.putBlob(repository, blob('x'))
    const start = clock.now()
    clock.advance(minute)
    assert.deepEqual(await m.promiseBlob(repository, digest('x'), start), blob('x'))
    assert.deepEqual(await unneeded(m, start + 1), [digest('x')])
  })

  check('promises nothing that the repository does not have', async (m, clock) => {
    await m.putBlob(repository, blob('x'))
    await m.putManifest(repository, manifest('m', { blobs: [] }), [latest])
    for (const [name, text] of [
      [other, 'x'],
      [unknown, 'x'],
      [repository, 'y'],
      [repository, 'm'],
    ] as const) {
      assert.equal(await m.promiseBlob(name, digest(text), clock.now()), undefined)
    }
  })
}

function unlinking(check: Check): void {
  check(
    'takes from their repositories what still is unneeded, and nothing else',
    async (m, clock) => {
      for (const text of ['gone', 'needed', 'asked', 'kept'])
        await m.putBlob(repository, blob(text))
      await m.putBlob(other, blob('gone'))
      clock.advance(minute)
      const before = clock.now()
      const found = (await scanAll((scan) => m.scanUnneededBlobs(before, scan))).filter(
        (entry) => entry.digest !== digest('kept') && entry.repository === repository,
      )
      assert.equal(found.length, 3)
      await m.putManifest(repository, manifest('m', { blobs: [digest('needed')] }), [latest])
      await m.promiseBlob(repository, digest('asked'), before)
      assert.equal(await m.unlinkUnneededBlobs(found, before), 1)
      for (const text of ['needed', 'asked', 'kept']) {
        assert.deepEqual(await m.findBlob(repository, digest(text)), blob(text))
      }
      assert.equal(await m.findBlob(repository, digest('gone')), undefined)
      assert.deepEqual(await m.findBlob(other, digest('gone')), blob('gone'))
      assert.equal(await m.unlinkUnneededBlobs(found, before), 0)
    },
  )

  check('unlinks nothing of a repository that is not known', async (m, clock) => {
    const nothing = [{ repository: unknown, digest: digest('x') }]
    assert.equal(await m.unlinkUnneededBlobs(nothing, clock.now()), 0)
    assert.equal(await m.unlinkUnneededBlobs([], clock.now()), 0)
  })
}

function nobodys(check: Check): void {
  check('finds content that no repository has any more', async (m) => {
    for (const text of ['x', 'y', 'z']) await m.putBlob(repository, blob(text))
    await m.putBlob(cached, blob('y'))
    await m.putManifest(repository, manifest('m', { blobs: [] }), [latest])
    const all = (): Promise<object[]> => scanAll((scan) => m.scanNobodys(scan))
    assert.deepEqual(await all(), [])
    for (const text of ['x', 'y']) await m.deleteBlob(repository, digest(text))
    assert.deepEqual(await all(), [blob('x')])
    await m.deleteManifest(repository, digest('m'))
    const expected = [blob('x'), blob('m')].toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
    for (const rows of [1, 2, 3, 4, 5]) {
      assert.deepEqual(await scanAll((scan) => m.scanNobodys(scan), rows), expected)
    }
    await m.forgetContent([digest('x')])
    assert.deepEqual(await all(), [blob('m')])
  })

  check('remembers whose bytes are to be removed until that is done', async (m) => {
    for (const text of ['x', 'y', 'z']) await m.putBlob(repository, blob(text))
    for (const text of ['x', 'y']) await m.deleteBlob(repository, digest(text))
    assert.deepEqual(await m.listRemovals(10), [])
    await m.forgetContent(['x', 'y', 'z', 'nothing'].map(digest))
    const expected = [blob('x'), blob('y')].toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
    assert.deepEqual(await m.listRemovals(10), expected)
    assert.equal((await m.listRemovals(1)).length, 1)
    // Somebody pushes it again: whoever removes bytes asks again, and is told so.
    await m.putBlob(repository, blob('x'))
    assert.deepEqual(await m.forgetContent([digest('x'), digest('y')]), [digest('y')])
    await m.endRemovals([digest('x'), digest('y')])
    assert.deepEqual(await m.listRemovals(10), [])
    await m.deleteBlob(repository, digest('x'))
    await m.forgetContent([digest('x')])
    assert.deepEqual(await m.listRemovals(10), [blob('x')])
  })

  check('knows content whoever has it, nobody too', async (m) => {
    for (const text of ['x', 'y']) await m.putBlob(repository, blob(text))
    await m.deleteBlob(repository, digest('y'))
    const known = await m.knownContent([digest('x'), digest('y'), digest('z')])
    assert.deepEqual([...known].toSorted(), sorted(['x', 'y']))
    assert.deepEqual(await m.knownContent([]), new Set())
  })
}
