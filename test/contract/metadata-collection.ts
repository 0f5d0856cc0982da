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
  stable,
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
  images(check)
}

function unneededBlobs(check: Check): void {
  check('finds blobs that no manifest of their repository refers to', async (m, clock) => {
    for (const text of ['config', 'loose']) await m.putBlob(repository, blob(text))
    await m.putBlob(other, blob('config'))
    const optional = { blobs: [digest('config')], optionalBlobs: [digest('foreign')] }
    await m.putBlob(repository, blob('foreign'))
    await m.putManifest(repository, manifest('m', optional), [latest])
    const askedAt = clock.now()
    const found = await scanAll((scan) => m.scanUnneededBlobs(askedAt + 1, scan))
    assert.deepEqual(
      found.toSorted((a, b) => (a.repository < b.repository ? -1 : 1)),
      [
        { repository, ...blob('loose'), askedAt },
        { repository: other, ...blob('config'), askedAt },
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

function images(check: Check): void {
  check('finds manifests that nothing holds, old enough by every measure', async (m, clock) => {
    const put = (text: string, fields = {}, tags = [latest]) =>
      m.putManifest(repository, manifest(text, { blobs: [], ...fields }), tags)
    await put('child', {}, [])
    await put('index', { manifests: [digest('child')] })
    await put('signature', { subject: digest('index') }, [])
    await put('dangling', { subject: digest('nothing') }, [])
    await put('pulled', {}, [])
    await m.putManifest(cached, manifest('cached', { blobs: [] }), [], { sparse: true })
    clock.advance(minute)
    const usedAt = clock.now()
    await m.touchManifests([{ repository, digest: digest('pulled'), usedAt }])
    const untagged = async (before: number): Promise<Digest[]> => {
      const found = await scanAll((scan) => m.scanUntagged(before, scan))
      return found.map((entry) => entry.digest).toSorted()
    }
    assert.deepEqual(await untagged(usedAt), [digest('dangling')])
    assert.deepEqual(await untagged(usedAt + 1), sorted(['dangling', 'pulled']))
    // What lets go of a manifest makes it young again.
    await put('new', {}, [latest])
    assert.deepEqual(await untagged(usedAt), [digest('dangling')])
    assert.deepEqual(await untagged(usedAt + 1), sorted(['dangling', 'pulled', 'index']))
  })

  check('deletes an image with what is only there because of it', async (m) => {
    for (const text of ['child', 'shared']) {
      await m.putManifest(repository, manifest(text, { blobs: [] }), [])
    }
    const manifests = [digest('child'), digest('shared')]
    await m.putManifest(repository, manifest('index', { blobs: [], manifests }), [latest])
    const shared = manifest('other index', { blobs: [], manifests: [digest('shared')] })
    await m.putManifest(repository, shared, [stable])
    const signature = manifest('signature', { blobs: [], subject: digest('index') })
    await m.putManifest(repository, signature, [])
    const image = { repository, digest: digest('index'), tags: [latest] }
    for (const dryRun of [true, false]) {
      const result = await m.deleteImage({ ...image, dryRun })
      assert.ok(result.outcome === 'deleted')
      assert.deepEqual(result.tags, [latest])
      assert.equal(result.manifests[0], digest('index'))
      assert.deepEqual([...result.manifests].toSorted(), sorted(['index', 'child', 'signature']))
    }
    assert.deepEqual(await m.deleteImage(image), { outcome: 'unknown' })
    assert.ok(await m.findManifest(repository, digest('shared')))
    const whole = { repository, digest: digest('shared'), tags: [], whole: true }
    assert.deepEqual(await m.deleteImage(whole), { outcome: 'needed', digest: digest('shared') })
    assert.deepEqual(await m.listTagsOf(repository, digest('other index')), [stable])
  })

  check('deletes nothing of an image a part of which was asked for', async (m, clock) => {
    await m.putManifest(repository, manifest('child', { blobs: [] }), [])
    const index = manifest('index', { blobs: [], manifests: [digest('child')] })
    await m.putManifest(repository, index, [latest])
    clock.advance(minute)
    const askedBefore = clock.now()
    const image = { repository, digest: digest('index'), tags: [latest], askedBefore }
    const isAsked = (asked: Digest): boolean => asked === digest('child')
    const refused = { outcome: 'asked', digest: digest('child') }
    assert.deepEqual(await m.deleteImage({ ...image, isAsked }), refused)
    const usedAt = clock.now()
    await m.touchManifests([{ repository, digest: digest('child'), usedAt }])
    assert.deepEqual(await m.deleteImage(image), refused)
    assert.equal((await m.findManifest(repository, latest))?.digest, digest('index'))
    assert.deepEqual(await m.listTagUses(repository, { limit: 10 }), [
      { tag: latest, digest: digest('index'), pushedAt: usedAt - minute },
    ])
  })

  check('keeps a fixed tag where it is', async (m) => {
    const put = (text: string) =>
      m.putManifest(repository, manifest(text, { blobs: [] }), [stable, latest], {
        sparse: false,
        isFixed: (tag) => tag === latest,
      })
    assert.deepEqual(await put('one'), { missing: [] })
    assert.deepEqual(await put('one'), { missing: [] })
    assert.deepEqual(await put('two'), { missing: [], fixed: latest })
    assert.equal((await m.findManifest(repository, stable))?.digest, digest('one'))
    const isFixed = (): boolean => true
    const refused = await m.deleteManifest(repository, digest('one'), isFixed)
    assert.deepEqual(refused, { outcome: 'fixed', tag: latest })
  })

  check('deletes a repository part by part, its name last', async (m) => {
    assert.equal(await m.countRepository(repository), undefined)
    for (const text of ['a', 'b', 'c']) await m.putBlob(repository, blob(text))
    await m.putBlob(other, blob('a'))
    const image = manifest('m', { blobs: [digest('a')] })
    await m.putManifest(repository, image, [latest, stable])
    assert.deepEqual(await m.countRepository(repository), { tags: 2, manifests: 1, blobs: 3 })
    assert.equal(await m.countRows('blobs of repositories'), 4)
    assert.equal(await m.countRows('blobs'), 4)
    assert.equal(await m.countRows('manifests'), 1)
    const size = (text: string): number => blob(text).size
    const bytes = image.size + size('a') + size('b') + size('c')
    assert.equal(await m.measureContent(), bytes)
    let parts = 0
    for (let isGone = false; !isGone; parts += 1) {
      ;({ isGone } = await m.deleteRepositoryPart(repository, 2))
    }
    assert.equal(parts, 4)
    assert.equal(await m.hasRepository(repository), false)
    assert.deepEqual(await m.findBlob(other, digest('a')), blob('a'))
    assert.equal(await m.measureContent(), bytes)
  })
}
