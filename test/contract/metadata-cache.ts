// The part of the metadata stores' contract that is about cached content: what of it was used when,
// how much it is, and that evicting takes what was used longest ago, and nothing that others need.

import assert from 'node:assert/strict'
import type { Digest } from '../../src/oci/digest.ts'
import type { RepositoryName } from '../../src/oci/repository-name.ts'
import type { Evictable } from '../../src/registry/ports/cache-metadata.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import type { BlobRecord, ManifestEntry } from '../../src/registry/ports/records.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import {
  blob,
  digest,
  latest,
  manifest,
  type MetadataCheck as Check,
  repository as pushed,
  stable,
} from './metadata-entries.ts'

const app = 'f/docker.io/library/app' as RepositoryName
const web = 'f/localhost:5000/web' as RepositoryName
const nothingInUse = new Set<Digest>()
const all = { bytes: Number.MAX_SAFE_INTEGER, inUse: nothingInUse }

/** Puts an image with these layers into a cached repository, one second after what came before. */
async function cache(
  metadata: MetadataStore,
  clock: FakeClock,
  image: { repository?: RepositoryName; text: string; layers?: readonly string[] },
  fields: Partial<ManifestEntry> = {},
): Promise<Digest> {
  const { repository = app, text, layers = [] } = image
  clock.advance(1_000)
  const entry = manifest(text, { blobs: layers.map(digest), ...fields })
  await metadata.putManifest(repository, entry, [], { sparse: true })
  for (const layer of layers) await metadata.putBlob(repository, blob(layer))
  return entry.digest
}

async function evictableDigests(metadata: MetadataStore): Promise<Digest[]> {
  return (await metadata.listEvictable({ limit: 1_000 })).map((entry) => entry.digest)
}

async function evictAll(metadata: MetadataStore): Promise<Evictable[]> {
  const entries = await metadata.listEvictable({ limit: 1_000 })
  return [...(await metadata.evict(entries, all)).evicted]
}

export function metadataCache(check: Check): void {
  uses(check)
  looseBlobs(check)
  eviction(check)
  sizes(check)
  order(check)
}

function uses(check: Check): void {
  check('lists cached manifests as evictable, the one used longest ago first', async (m, clock) => {
    for (const text of ['one', 'two']) await cache(m, clock, { text })
    await cache(m, clock, { text: 'one', repository: web })
    assert.deepEqual(await m.listEvictable({ limit: 10 }), [
      { kind: 'manifest', repository: app, digest: digest('one'), usedAt: clock.now() - 2_000 },
      { kind: 'manifest', repository: app, digest: digest('two'), usedAt: clock.now() - 1_000 },
      { kind: 'manifest', repository: web, digest: digest('one'), usedAt: clock.now() },
    ])
  })

  check('lists nothing that was pushed', async (m) => {
    await m.putBlob(pushed, blob('layer'))
    await m.putManifest(pushed, manifest('m', { blobs: [digest('layer')] }), [latest])
    await m.touchManifests([{ repository: pushed, digest: digest('m'), usedAt: 5 }])
    assert.deepEqual(await m.listEvictable({ limit: 10 }), [])
  })

  check('a manifest that was used, or put again, goes behind the others', async (m, clock) => {
    for (const text of ['one', 'two', 'three']) await cache(m, clock, { text })
    const usedAt = clock.now() + 500
    await m.touchManifests([
      { repository: app, digest: digest('one'), usedAt },
      { repository: app, digest: digest('nothing'), usedAt },
      { repository: web, digest: digest('one'), usedAt },
    ])
    await cache(m, clock, { text: 'two' })
    assert.deepEqual(await evictableDigests(m), ['three', 'one', 'two'].map(digest))
  })

  check('a use that is told late changes nothing', async (m, clock) => {
    for (const text of ['one', 'two']) await cache(m, clock, { text })
    await m.touchManifests([{ repository: app, digest: digest('two'), usedAt: 1 }])
    assert.deepEqual(await evictableDigests(m), ['one', 'two'].map(digest))
  })

  check('an index that was used keeps its children, as far as they are here', async (m, clock) => {
    await cache(m, clock, { text: 'child' })
    const manifests = [digest('child'), digest('not here')]
    await cache(m, clock, { text: 'index' }, { manifests })
    await cache(m, clock, { text: 'other' })
    const usedAt = clock.now() + 1
    await m.touchManifests([{ repository: app, digest: digest('index'), usedAt }])
    const [first, ...rest] = await m.listEvictable({ limit: 10 })
    assert.equal(first?.digest, digest('other'))
    assert.deepEqual(
      rest.map((entry) => entry.usedAt),
      [usedAt, usedAt],
    )
  })
}

function looseBlobs(check: Check): void {
  check('a blob is evictable by itself as long as no manifest refers to it', async (m, clock) => {
    await m.putBlob(app, blob('x'))
    const usedAt = clock.now()
    const loose = { kind: 'blob', repository: app, digest: digest('x'), usedAt }
    assert.deepEqual(await m.listEvictable({ limit: 10 }), [loose])
    await cache(m, clock, { text: 'm', layers: ['x', 'y'] })
    assert.deepEqual(await evictableDigests(m), [digest('m')])
    // Another repository's manifest is not about it.
    clock.advance(1)
    await m.putBlob(web, blob('x'))
    assert.deepEqual(await evictableDigests(m), [digest('m'), digest('x')])
  })

  check('a blob that a manifest has left behind is evictable by itself', async (m, clock) => {
    await cache(m, clock, { text: 'm', layers: ['x', 'y'] })
    await cache(m, clock, { text: 'n', layers: ['y'] })
    // The same bytes under another media type refer to other content.
    await m.putManifest(app, manifest('m', { blobs: [digest('z')] }), [], { sparse: true })
    assert.deepEqual((await evictableDigests(m)).toSorted(), ['m', 'n', 'x'].map(digest).toSorted())
    await m.deleteManifest(app, digest('n'))
    assert.deepEqual((await evictableDigests(m)).toSorted(), ['m', 'x', 'y'].map(digest).toSorted())
  })

  check('an evicted blob can come again', async (m) => {
    await m.putBlob(app, blob('x'))
    const [entry] = await evictAll(m)
    assert.equal(entry?.digest, digest('x'))
    assert.equal(await m.findBlob(app, digest('x')), undefined)
    await m.putBlob(app, blob('x'))
    assert.deepEqual(await m.findBlob(app, digest('x')), blob('x'))
    assert.deepEqual(await evictableDigests(m), [digest('x')])
  })
}

function eviction(check: Check): void {
  check('evicts a manifest with its tags and the blobs of it alone', async (m, clock) => {
    await cache(m, clock, { text: 'old', layers: ['base', 'old layer'] })
    await m.putManifest(app, manifest('old', { blobs: [digest('base'), digest('old layer')] }), [
      latest,
      stable,
    ])
    await cache(m, clock, { text: 'new', layers: ['base', 'new layer'] })
    const [oldest] = await m.listEvictable({ limit: 1 })
    assert.ok(oldest)
    const { nobodys, ...result } = await m.evict([oldest], all)
    assert.deepEqual(result, { taken: 1, evicted: [oldest] })
    assert.deepEqual(
      nobodys.toSorted(byDigest),
      [blob('old'), blob('old layer')].toSorted(byDigest),
    )
    assert.equal(await m.findManifest(app, digest('old')), undefined)
    assert.deepEqual(await m.listTags(app, { limit: 10 }), [])
    assert.equal(await m.findBlob(app, digest('old layer')), undefined)
    assert.deepEqual(await m.findBlob(app, digest('base')), blob('base'))
    assert.deepEqual(await m.findBlob(app, digest('new layer')), blob('new layer'))
  })

  check('leaves what other repositories have, pushed or cached, to them', async (m, clock) => {
    await m.putBlob(pushed, blob('layer'))
    await m.putManifest(pushed, manifest('m', { blobs: [digest('layer')] }), [latest])
    await cache(m, clock, { text: 'm', layers: ['layer'] })
    await cache(m, clock, { text: 'n', layers: ['shared'] })
    await cache(m, clock, { repository: web, text: 'n', layers: ['shared'] })
    const [first, second] = await m.listEvictable({ limit: 2 })
    assert.ok(first && second)
    assert.deepEqual((await m.evict([first, second], all)).nobodys, [])
    assert.deepEqual(await m.findBlob(pushed, digest('layer')), blob('layer'))
    assert.ok(await m.findManifest(pushed, latest))
    assert.deepEqual(await m.findBlob(web, digest('shared')), blob('shared'))
    assert.equal(await m.findBlob(app, digest('shared')), undefined)
    const [last] = await m.listEvictable({ limit: 2 })
    assert.ok(last)
    const { nobodys } = await m.evict([last], all)
    assert.deepEqual(nobodys.toSorted(byDigest), [blob('n'), blob('shared')].toSorted(byDigest))
  })

  check('does not evict what was used since it was listed', async (m, clock) => {
    await cache(m, clock, { text: 'one' })
    await m.putBlob(app, blob('x'))
    const entries = await m.listEvictable({ limit: 10 })
    await m.touchManifests([{ repository: app, digest: digest('one'), usedAt: clock.now() + 1 }])
    await cache(m, clock, { text: 'two', layers: ['x'] })
    assert.deepEqual(await m.evict(entries, all), { taken: 2, evicted: [], nobodys: [] })
    assert.ok(await m.findManifest(app, digest('one')))
    assert.ok(await m.findBlob(app, digest('x')))
  })

  check('does not evict what is in use, nor a manifest of such a blob', async (m, clock) => {
    await cache(m, clock, { text: 'one', layers: ['a', 'b'] })
    await cache(m, clock, { text: 'two' })
    await m.putBlob(app, blob('loose'))
    const entries = await m.listEvictable({ limit: 10 })
    const inUse = new Set([digest('b'), digest('two'), digest('loose')])
    const result = await m.evict(entries, { ...all, inUse })
    assert.deepEqual(result, { taken: 3, evicted: [], nobodys: [] })
    assert.ok(await m.findBlob(app, digest('a')))
  })

  check('evicts no more than it was asked for', async (m, clock) => {
    for (const text of ['1', '22', '333', '4444']) await cache(m, clock, { text })
    const entries = await m.listEvictable({ limit: 10 })
    const { taken, evicted, nobodys } = await m.evict(entries, { ...all, bytes: 3 })
    assert.equal(taken, 2)
    assert.deepEqual(evicted, entries.slice(0, 2))
    assert.deepEqual(nobodys, [blob('1'), blob('22')])
    assert.deepEqual(await evictableDigests(m), [digest('333'), digest('4444')])
  })

  check('takes a manifest of ten thousand references, and lets others write then', async (m, c) => {
    const optionalBlobs = Array.from({ length: 10_000 }, (_, index) => digest(`layer ${index}`))
    await cache(m, c, { text: 'large' }, { optionalBlobs })
    await m.putBlob(app, blob('layer 9999'))
    await cache(m, c, { text: 'small' })
    const entries = await m.listEvictable({ limit: 10 })
    const { taken, nobodys } = await m.evict(entries, all)
    assert.equal(taken, 1)
    assert.equal(nobodys.length, 2)
    assert.equal(await m.findBlob(app, digest('layer 9999')), undefined)
  })
}

function sizes(check: Check): void {
  check('finds a manifest with a blob, in its repository alone', async (m, clock) => {
    const image = await cache(m, clock, { text: 'image', layers: ['layer'] })
    assert.equal(await m.findManifestWithBlob(app, digest('layer')), image)
    assert.equal(await m.findManifestWithBlob(web, digest('layer')), undefined)
    assert.equal(await m.findManifestWithBlob(app, image), undefined)
    await evictAll(m)
    assert.equal(await m.findManifestWithBlob(app, digest('layer')), undefined)
  })

  check('measures cached content, each once, and none of what was pushed', async (m, clock) => {
    assert.equal(await m.measureCache(), 0)
    await m.putBlob(pushed, blob('pushed layer'))
    await m.putManifest(pushed, manifest('pushed'), [])
    assert.equal(await m.measureCache(), 0)
    await cache(m, clock, { text: 'm', layers: ['shared', 'pushed layer'] })
    await cache(m, clock, { repository: web, text: 'm', layers: ['shared'] })
    await cache(m, clock, { repository: web, text: 'pushed' })
    assert.equal(await m.measureCache(), 'm'.length + 'shared'.length)
    await m.deleteBlob(pushed, digest('pushed layer'))
    const more = 'pushed layer'.length
    assert.equal(await m.measureCache(), 'm'.length + 'shared'.length + more)
    await evictAll(m)
    assert.equal(await m.measureCache(), 0)
  })

  check('measures thousands of blobs', async (m) => {
    const count = 2_050
    const names = Array.from({ length: count }, (_, index) => `blob ${index}`)
    for (const name of names) await m.putBlob(app, { digest: digest(name), size: 10 })
    await m.putBlob(pushed, { digest: digest('blob 7'), size: 10 })
    assert.equal(await m.measureCache(), (count - 1) * 10)
  })

  check('forgets content that nobody has, and no other', async (m, clock) => {
    await cache(m, clock, { text: 'm', layers: ['x'] })
    await m.putBlob(pushed, blob('x'))
    const [x, manifestDigest, unknown] = [digest('x'), digest('m'), digest('unknown')]
    assert.deepEqual(await m.forgetContent([]), [])
    assert.deepEqual(await m.forgetContent([x, manifestDigest, unknown]), [unknown])
    await evictAll(m)
    const { blobs } = await m.countContent()
    assert.deepEqual(await m.forgetContent([manifestDigest, x]), [manifestDigest])
    assert.deepEqual(await m.forgetContent([manifestDigest]), [manifestDigest])
    assert.equal((await m.countContent()).blobs, blobs - 1)
    assert.deepEqual(await m.findBlob(pushed, x), blob('x'))
    await m.deleteBlob(pushed, x)
    assert.deepEqual(await m.forgetContent([x]), [x])
  })
}

function order(check: Check): void {
  check('keeps the order of use over more than a thousand of them', async (m, clock) => {
    const start = clock.now()
    const count = 1_200
    // Each moment once, in no order; every third one is a blob, and now and then two share a moment.
    const moments = Array.from({ length: count }, (_, index) => (index * 7_919) % count)
    const expected: Digest[] = []
    for (const moment of moments) {
      clock.advance(start + moment - (moment % 10 === 1 ? 1 : 0) - clock.now())
      const repository = moment % 2 === 0 ? app : web
      if (moment % 3 === 0) await m.putBlob(repository, blob(`${moment}`))
      else await m.putManifest(repository, manifest(`${moment}`), [], { sparse: true })
      expected[moment] = digest(`${moment}`)
    }
    const inUse = new Set(expected.filter((_, moment) => moment % 100 < 30))
    const paged = await listPages(m, 70)
    assert.equal(paged.length, count)
    assert.deepEqual(
      paged,
      paged.toSorted((a, b) => a.usedAt - b.usedAt),
    )
    assert.equal(new Set(paged.map((entry) => entry.digest)).size, count)
    const evicted: Evictable[] = []
    let after: Evictable | undefined
    for (;;) {
      const entries = await m.listEvictable({ limit: 100, ...(after && { after }) })
      if (entries.length === 0) break
      const result = await m.evict(entries, { bytes: 200, inUse })
      evicted.push(...result.evicted)
      after = entries[result.taken - 1]
    }
    assert.deepEqual(
      evicted,
      paged.filter((entry) => !inUse.has(entry.digest)),
    )
    const left = await m.listEvictable({ limit: count })
    assert.deepEqual(new Set(left.map((entry) => entry.digest)), inUse)
  })
}

async function listPages(metadata: MetadataStore, limit: number): Promise<Evictable[]> {
  const listed: Evictable[] = []
  for (;;) {
    const after = listed.at(-1)
    const page = await metadata.listEvictable({ limit, ...(after && { after }) })
    if (page.length === 0) return listed
    listed.push(...page)
  }
}

function byDigest(a: BlobRecord, b: BlobRecord): number {
  return a.digest < b.digest ? -1 : 1
}
