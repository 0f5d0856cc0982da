// What every metadata store does, as `src/registry/ports.ts` promises it: each call one step, its
// outcome visible to the next call, names in the order of their bytes, and no manifest without what
// it needs, however many write at once.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Digest } from '../../src/oci/digest.ts'
import { mediaTypes } from '../../src/oci/media-type.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import { parseTag } from '../../src/oci/tag.ts'
import type { Clock } from '../../src/registry/ports/clock.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import type { ManifestEntry, UploadRecord } from '../../src/registry/ports/records.ts'
import type { UploadId } from '../../src/registry/ports/upload-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { metadataCache } from './metadata-cache.ts'
import { metadataCollection } from './metadata-collection.ts'
import { metadataConcurrency } from './metadata-concurrency.ts'
import {
  blob,
  digest,
  latest,
  manifest,
  type MetadataCheck as Check,
  other,
  put,
  repository,
  stable,
  unknown,
} from './metadata-entries.ts'
import { metadataLinks } from './metadata-links.ts'

export interface MetadataStoreUnderTest extends AsyncDisposable {
  readonly metadata: MetadataStore
}

export function metadataStoreContract(
  name: string,
  open: (clock: Clock) => Promise<MetadataStoreUnderTest>,
): void {
  /** A test on an empty store. */
  function check(title: string, work: (m: MetadataStore, clock: FakeClock) => Promise<void>): void {
    test(title, async () => {
      const clock = new FakeClock()
      await using store = await open(clock)
      await work(store.metadata, clock)
    })
  }

  describe(`${name} as a metadata store`, () => {
    emptiness(check)
    blobs(check)
    manifests(check)
    deletion(check)
    tags(check)
    repositories(check)
    referrers(check)
    uploads(check)
    metadataConcurrency(check)
    metadataCache(check)
    metadataCollection(check)
    metadataLinks(check)
    check('can check itself', (metadata) => metadata.check())
  })
}

async function assertTags(metadata: MetadataStore, expected: readonly string[]): Promise<void> {
  assert.deepEqual(await metadata.listTags(repository, { limit: 1_000 }), expected)
}

function emptiness(check: Check): void {
  check('knows nothing at first, and says so without an error', async (metadata) => {
    const { digest } = blob('x')
    const page = { limit: 10 }
    const nothing = { blobs: [], manifests: [] }
    assert.equal(await metadata.hasRepository(repository), false)
    assert.equal(await metadata.hasContent(repository), false)
    assert.deepEqual(await metadata.listRepositories(page), [])
    assert.equal(await metadata.findBlob(repository, digest), undefined)
    assert.deepEqual(await metadata.findRepositoriesWithBlob(digest, 10), [])
    assert.equal(await metadata.mountBlob(repository, digest, other), undefined)
    assert.deepEqual(await metadata.deleteBlob(repository, digest), { outcome: 'unknown' })
    assert.equal(await metadata.findManifest(repository, latest), undefined)
    assert.equal(await metadata.findManifest(repository, digest), undefined)
    assert.deepEqual(await metadata.findMissingContent(repository, nothing), [])
    assert.deepEqual(await metadata.deleteManifest(repository, digest), { outcome: 'unknown' })
    assert.deepEqual(await metadata.listTags(repository, page), [])
    assert.equal(await metadata.deleteTag(repository, latest), false)
    assert.deepEqual(await metadata.listReferrers(repository, digest, page), [])
    assert.equal(await metadata.deleteUpload('none' as UploadId), false)
    assert.deepEqual(await metadata.listIdleUploads(Number.MAX_SAFE_INTEGER, 10), [])
    assert.deepEqual(await metadata.knownUploads([]), new Set())
    await metadata.setUploadOffset('none' as UploadId, 1)
    assert.equal(await metadata.hasRepository(repository), false)
    const zero = { repositories: 0, manifests: 0, tags: 0, blobs: 0, bytes: 0, uploads: 0 }
    assert.deepEqual(await metadata.countContent(), zero)
  })
}

function blobs(check: Check): void {
  check('knows a blob only in the repository it was put into', async (metadata) => {
    const x = { ...blob('x'), size: 5_000_000_000 }
    await metadata.putBlob(repository, x)
    await metadata.putBlob(repository, x)
    assert.deepEqual(await metadata.findBlob(repository, x.digest), x)
    assert.equal(await metadata.findBlob(other, x.digest), undefined)
    assert.equal(await metadata.hasRepository(repository), true)
    assert.equal(await metadata.hasRepository(other), false)
    assert.equal((await metadata.countContent()).bytes, x.size)
  })

  check('knows who has a blob, but not more of them than asked for', async (metadata) => {
    const names = ['a', 'b', 'c'].map((name) => parseRepositoryName(name))
    for (const name of names) await metadata.putBlob(name, blob('x'))
    await metadata.putBlob(parseRepositoryName('d'), blob('y'))
    const found = await metadata.findRepositoriesWithBlob(digest('x'), 10)
    assert.deepEqual(found.toSorted(), names)
    assert.equal((await metadata.findRepositoriesWithBlob(digest('x'), 2)).length, 2)
  })

  check('mounts what the other repository has, and only that', async (metadata) => {
    await metadata.putBlob(other, blob('x'))
    assert.equal(await metadata.mountBlob(repository, digest('y'), other), undefined)
    assert.equal(await metadata.mountBlob(repository, digest('x'), unknown), undefined)
    assert.equal(await metadata.hasRepository(repository), false)
    assert.deepEqual(await metadata.mountBlob(repository, digest('x'), other), blob('x'))
    assert.deepEqual(await metadata.mountBlob(repository, digest('x'), other), blob('x'))
    assert.deepEqual(await metadata.mountBlob(repository, digest('x'), repository), blob('x'))
    await metadata.deleteBlob(other, digest('x'))
    assert.equal(await metadata.findBlob(other, digest('x')), undefined)
    assert.deepEqual(await metadata.findBlob(repository, digest('x')), blob('x'))
  })

  check('does not mount a manifest as a blob, and gives it out as none', async (metadata) => {
    await put(metadata, manifest('m'))
    assert.equal(await metadata.findBlob(repository, digest('m')), undefined)
    assert.equal(await metadata.mountBlob(other, digest('m'), repository), undefined)
    assert.deepEqual(await metadata.findRepositoriesWithBlob(digest('m'), 10), [])
  })
}

function manifests(check: Check): void {
  check('finds a manifest by digest and by each of its tags', async (metadata) => {
    const m = await put(metadata, manifest('m'), [latest, stable])
    const record = { digest: m.digest, size: m.size, mediaType: m.mediaType }
    assert.deepEqual(await metadata.findManifest(repository, m.digest), record)
    assert.deepEqual(await metadata.findManifest(repository, latest), record)
    assert.deepEqual(await metadata.findManifest(repository, stable), record)
    assert.equal(await metadata.findManifest(other, m.digest), undefined)
    assert.equal(await metadata.findManifest(other, latest), undefined)
  })

  check(
    'names what is missing, in the order of the manifest, and changes nothing',
    async (metadata) => {
      await metadata.putBlob(repository, blob('here'))
      await metadata.putBlob(other, blob('elsewhere'))
      const before = await metadata.countContent()
      const entry = manifest('m', {
        blobs: [digest('gone'), digest('here'), digest('elsewhere')],
        manifests: [digest('no manifest'), digest('here')],
        optionalBlobs: [digest('foreign')],
        subject: digest('no subject'),
      })
      const missing = ['gone', 'elsewhere', 'no manifest', 'here'].map(digest)
      assert.deepEqual(await metadata.findMissingContent(repository, entry), missing)
      assert.deepEqual(await metadata.putManifest(repository, entry, [latest]), { missing })
      assert.deepEqual(await metadata.putManifest(unknown, entry, [latest]), {
        missing: ['gone', 'here', 'elsewhere', 'no manifest', 'here'].map(digest),
      })
      assert.equal(await metadata.findManifest(repository, entry.digest), undefined)
      assert.equal(await metadata.findManifest(repository, latest), undefined)
      assert.equal(await metadata.hasRepository(unknown), false)
      assert.deepEqual(await metadata.countContent(), before)
    },
  )

  check('needs neither optional blobs nor the subject', async (metadata) => {
    const fields = { optionalBlobs: [digest('foreign')], subject: digest('no subject') }
    await put(metadata, manifest('m', fields))
  })

  check('takes a manifest of ten thousand references', async (metadata) => {
    const children = Array.from({ length: 10_000 }, (_, index) => digest(`layer ${index}`))
    const entry = manifest('m', { optionalBlobs: children })
    await put(metadata, entry, [latest])
    const needed = { ...entry, blobs: children, optionalBlobs: [] }
    assert.deepEqual(await metadata.putManifest(repository, needed, []), { missing: children })
  })

  check('a manifest put again changes nothing', async (metadata, clock) => {
    await metadata.putBlob(repository, blob('x'))
    const entry = manifest('m', { blobs: [digest('x')], annotations: { a: 'b' } })
    await put(metadata, entry, [latest])
    const before = await metadata.countContent()
    clock.advance(1_000)
    await put(metadata, entry, [latest])
    await put(metadata, entry)
    assert.deepEqual(await metadata.countContent(), before)
    await assertTags(metadata, ['latest'])
  })

  check('the same bytes under another media type are what was put last', async (metadata) => {
    await metadata.putBlob(repository, blob('layer'))
    const child = await put(metadata, manifest('child'))
    const subject = digest('subject')
    const asImage = manifest('m', { blobs: [digest('layer')], artifactType: 'a', subject })
    const asIndex = manifest('m', { mediaType: mediaTypes.ociIndex, manifests: [child.digest] })
    await put(metadata, asImage, [latest])
    await put(metadata, asIndex)
    const found = await metadata.findManifest(repository, latest)
    assert.equal(found?.mediaType, mediaTypes.ociIndex)
    assert.deepEqual(await metadata.listReferrers(repository, subject, { limit: 10 }), [])
    const needed = { outcome: 'needed', by: asIndex.digest }
    assert.deepEqual(await metadata.deleteManifest(repository, child.digest), needed)
    assert.deepEqual(await metadata.deleteBlob(repository, digest('layer')), { outcome: 'deleted' })
  })

  check('what was a blob to a manifest can become a child of it', async (metadata) => {
    const child = await put(metadata, manifest('child'))
    await metadata.putBlob(repository, blob('child'))
    await put(metadata, manifest('m', { blobs: [child.digest] }))
    await put(metadata, manifest('m', { manifests: [child.digest] }))
    const needed = { outcome: 'needed', by: digest('m') }
    assert.deepEqual(await metadata.deleteManifest(repository, child.digest), needed)
    assert.deepEqual(await metadata.deleteBlob(repository, child.digest), { outcome: 'deleted' })
  })

  check('counts content once, whoever has it', async (metadata) => {
    for (const name of [repository, other]) {
      await metadata.putBlob(name, blob('layer'))
      await metadata.putManifest(name, manifest('m'), [latest, stable])
    }
    assert.deepEqual(await metadata.countContent(), {
      repositories: 2,
      manifests: 2,
      tags: 4,
      blobs: 2,
      bytes: 'layer'.length + 'm'.length,
      uploads: 0,
    })
  })
}

function deletion(check: Check): void {
  check('deletes a blob that no manifest of the repository needs', async (metadata) => {
    for (const name of [repository, other]) await metadata.putBlob(name, blob('x'))
    await metadata.putManifest(other, manifest('m', { blobs: [digest('x')] }), [])
    assert.deepEqual(await metadata.deleteBlob(repository, digest('x')), { outcome: 'deleted' })
    assert.deepEqual(await metadata.deleteBlob(repository, digest('x')), { outcome: 'unknown' })
    assert.deepEqual(await metadata.findBlob(other, digest('x')), blob('x'))
    assert.deepEqual(await metadata.deleteBlob(unknown, digest('x')), { outcome: 'unknown' })
  })

  check('keeps a blob for as long as a manifest needs it, and says which', async (metadata) => {
    await metadata.putBlob(repository, blob('x'))
    await put(metadata, manifest('m', { blobs: [digest('x')] }), [latest])
    const needed = { outcome: 'needed', by: digest('m') }
    assert.deepEqual(await metadata.deleteBlob(repository, digest('x')), needed)
    assert.deepEqual(await metadata.findBlob(repository, digest('x')), blob('x'))
    assert.deepEqual(await metadata.deleteManifest(repository, digest('m')), { outcome: 'deleted' })
    assert.deepEqual(await metadata.deleteBlob(repository, digest('x')), { outcome: 'deleted' })
  })

  check('does not keep a blob that a manifest may be without', async (metadata) => {
    await metadata.putBlob(repository, blob('foreign'))
    await put(metadata, manifest('m', { optionalBlobs: [digest('foreign')] }))
    const outcome = await metadata.deleteBlob(repository, digest('foreign'))
    assert.deepEqual(outcome, { outcome: 'deleted' })
  })

  check('keeps a manifest for as long as an index needs it, and says which', async (metadata) => {
    const child = await put(metadata, manifest('child'))
    await put(metadata, manifest('index', { manifests: [child.digest] }))
    const needed = { outcome: 'needed', by: digest('index') }
    assert.deepEqual(await metadata.deleteManifest(repository, child.digest), needed)
    assert.ok(await metadata.findManifest(repository, child.digest))
    await metadata.deleteManifest(repository, digest('index'))
    assert.deepEqual(await metadata.deleteManifest(repository, child.digest), {
      outcome: 'deleted',
    })
  })

  check('deletes a subject although others refer to it', async (metadata) => {
    const subject = await put(metadata, manifest('subject'))
    await put(metadata, manifest('referrer', { subject: subject.digest }))
    const outcome = await metadata.deleteManifest(repository, subject.digest)
    assert.deepEqual(outcome, { outcome: 'deleted' })
    const referrers = await metadata.listReferrers(repository, subject.digest, { limit: 10 })
    assert.deepEqual(
      referrers.map((referrer) => referrer.digest),
      [digest('referrer')],
    )
  })

  check('a manifest takes its tags along, and only those', async (metadata) => {
    await put(metadata, manifest('old'), [latest, stable])
    await put(metadata, manifest('new'), [latest, parseTag('v2')])
    for (const name of [other]) await metadata.putManifest(name, manifest('old'), [stable])
    assert.deepEqual(await metadata.deleteManifest(repository, digest('old')), {
      outcome: 'deleted',
    })
    await assertTags(metadata, ['latest', 'v2'])
    assert.equal(await metadata.findManifest(repository, digest('old')), undefined)
    assert.equal((await metadata.findManifest(repository, latest))?.digest, digest('new'))
    assert.equal((await metadata.findManifest(other, stable))?.digest, digest('old'))
    assert.deepEqual(await metadata.deleteManifest(repository, digest('old')), {
      outcome: 'unknown',
    })
  })

  check('a manifest that was deleted can be put again', async (metadata) => {
    await metadata.putBlob(repository, blob('x'))
    const entry = manifest('m', { blobs: [digest('x')] })
    await put(metadata, entry, [latest])
    await metadata.deleteManifest(repository, entry.digest)
    await put(metadata, entry, [latest])
    await assertTags(metadata, ['latest'])
    assert.deepEqual(await metadata.deleteBlob(repository, digest('x')), {
      outcome: 'needed',
      by: entry.digest,
    })
  })
}

/** By their bytes: digits, capitals, `_`, small letters, whatever the locale says. */
const tagsInOrder = '0 10 2 A B _ a a-b a.b a0 aB a_b ab b v1 v1.0 v10 v2'.split(' ')

function tags(check: Check): void {
  check('lists tags in the order of their bytes, page by page', async (metadata) => {
    assert.deepEqual(tagsInOrder.toSorted(), tagsInOrder)
    const shuffled = tagsInOrder.toSorted((a, b) => digest(a).localeCompare(digest(b)))
    for (const text of shuffled) await put(metadata, manifest('m'), [parseTag(text)])
    await metadata.putManifest(other, manifest('m'), [parseTag('of-another-repository')])
    await assertTags(metadata, tagsInOrder)
    for (const limit of [1, 3, tagsInOrder.length, 100]) {
      const listed: string[] = []
      for (;;) {
        const after = listed.at(-1)
        const page = await metadata.listTags(repository, { limit, ...(after && { after }) })
        assert.ok(page.length <= limit)
        if (page.length === 0) break
        listed.push(...page)
        assert.ok(listed.length <= tagsInOrder.length, 'a page repeats what was listed')
      }
      assert.deepEqual(listed, tagsInOrder, `in pages of ${limit}`)
    }
  })

  const pages: [after: string | undefined, limit: number, expected: string[]][] = [
    [undefined, 0, []],
    [undefined, 2, ['a', 'b']],
    ['', 2, ['a', 'b']],
    ['a', 2, ['b', 'd']],
    ['c', 10, ['d']],
    ['d', 10, []],
    ['zzz', 10, []],
    ["'; drop table tags; --", 10, ['a', 'b', 'd']],
    ['not a tag\u{10ffff}', 10, []],
  ]
  for (const [after, limit, expected] of pages) {
    check(`of a, b, d: ${limit} tags after ${after ?? 'nothing'}`, async (metadata) => {
      await put(metadata, manifest('m'), ['a', 'b', 'd'].map(parseTag))
      const page = { limit, ...(after !== undefined && { after }) }
      assert.deepEqual(await metadata.listTags(repository, page), expected)
    })
  }

  check('moves a tag, and leaves both manifests', async (metadata) => {
    await put(metadata, manifest('old'), [latest])
    await put(metadata, manifest('new'), [latest])
    assert.equal((await metadata.findManifest(repository, latest))?.digest, digest('new'))
    assert.ok(await metadata.findManifest(repository, digest('old')))
    await assertTags(metadata, ['latest'])
  })

  check('tells tags apart by case', async (metadata) => {
    await put(metadata, manifest('small'), [parseTag('v')])
    await put(metadata, manifest('capital'), [parseTag('V')])
    assert.equal((await metadata.findManifest(repository, parseTag('v')))?.digest, digest('small'))
    assert.equal(
      (await metadata.findManifest(repository, parseTag('V')))?.digest,
      digest('capital'),
    )
  })

  check('deletes a tag alone', async (metadata) => {
    await put(metadata, manifest('m'), [latest, stable])
    assert.equal(await metadata.deleteTag(other, latest), false)
    assert.equal(await metadata.deleteTag(repository, latest), true)
    assert.equal(await metadata.deleteTag(repository, latest), false)
    await assertTags(metadata, ['stable'])
    assert.ok(await metadata.findManifest(repository, digest('m')))
    await metadata.deleteTag(repository, stable)
    assert.ok(await metadata.findManifest(repository, digest('m')))
    assert.equal(await metadata.hasRepository(repository), true)
  })
}

function repositories(check: Check): void {
  check('lists the repositories that hold a manifest, in the order of their bytes', async (m) => {
    const names = ['0', 'a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a0', 'a_b', 'ab', 'b']
    assert.deepEqual(names.toSorted(), names)
    for (const name of names.toReversed()) {
      await m.putManifest(parseRepositoryName(name), manifest('m'), [])
    }
    await m.putBlob(parseRepositoryName('blobs-only'), blob('x'))
    assert.deepEqual(await m.listRepositories({ limit: 100 }), names)
    assert.deepEqual(await m.listRepositories({ limit: 2, after: 'a.' }), ['a.b', 'a/b'])
    assert.deepEqual(await m.listRepositories({ limit: 0 }), [])
    await m.deleteManifest(parseRepositoryName('a'), digest('m'))
    assert.deepEqual(await m.listRepositories({ limit: 2 }), ['0', 'a-b'])
    assert.equal(await m.hasRepository(parseRepositoryName('a')), true)
  })

  check('tells a repository that holds something from one that is but a name', async (m) => {
    await m.putBlob(repository, blob('x'))
    assert.equal(await m.hasContent(repository), true)
    assert.equal(await m.hasContent(other), false)
    await m.putManifest(other, manifest('m'), [latest])
    assert.equal(await m.hasContent(other), true)
    await m.deleteBlob(repository, digest('x'))
    await m.deleteManifest(other, digest('m'))
    for (const emptied of [repository, other]) {
      assert.equal(await m.hasRepository(emptied), true)
      assert.equal(await m.hasContent(emptied), false)
    }
  })
}

function referrers(check: Check): void {
  const subject = digest('subject')
  const byDigest = (a: ManifestEntry, b: ManifestEntry): number => (a.digest < b.digest ? -1 : 1)

  check('lists what refers to a subject, with what describes it', async (metadata) => {
    const annotations = { 'org.example': 'ä "quoted"', ['__proto__']: 'x' }
    const signature = manifest('signature', { subject, artifactType: 'type/a', annotations })
    const plain = manifest('plain', { subject })
    await put(metadata, manifest('of another subject', { subject: digest('another') }))
    for (const entry of [signature, plain]) await put(metadata, entry, [])
    await metadata.putManifest(other, manifest('of another repository', { subject }), [])
    const listed = await metadata.listReferrers(repository, subject, { limit: 10 })
    const { mediaType } = plain
    assert.deepEqual(
      listed,
      [
        { digest: signature.digest, size: 9, mediaType, artifactType: 'type/a', annotations },
        { digest: plain.digest, size: 5, mediaType },
      ].toSorted((a, b) => (a.digest < b.digest ? -1 : 1)),
    )
  })

  check('lists referrers in the order of their digests, filtered and page by page', async (m) => {
    const all = Array.from({ length: 25 }, (_, index) =>
      manifest(`referrer ${index}`, { subject, artifactType: `type/${index % 3}` }),
    )
    for (const entry of all) await put(m, entry)
    for (const artifactType of [undefined, 'type/0', 'type/2', 'type/none', 'type/%']) {
      const expected = all
        .filter((entry) => artifactType === undefined || entry.artifactType === artifactType)
        .toSorted(byDigest)
        .map((entry) => entry.digest)
      for (const limit of [1, 4, 100]) {
        const listed: Digest[] = []
        for (;;) {
          const after = listed.at(-1)
          const page = { limit, ...(after && { after }), ...(artifactType && { artifactType }) }
          const referrers = await m.listReferrers(repository, subject, page)
          assert.ok(referrers.length <= limit)
          if (referrers.length === 0) break
          listed.push(...referrers.map((referrer) => referrer.digest))
          assert.ok(listed.length <= expected.length, 'a page repeats what was listed')
        }
        assert.deepEqual(listed, expected, `${artifactType ?? 'all'} in pages of ${limit}`)
      }
    }
  })

  check('a referrer that is deleted is listed no more', async (metadata) => {
    await put(metadata, manifest('referrer', { subject }))
    await metadata.deleteManifest(repository, digest('referrer'))
    assert.deepEqual(await metadata.listReferrers(repository, subject, { limit: 10 }), [])
  })
}

function upload(id: string, fields: Partial<UploadRecord> = {}): UploadRecord {
  const defaults = { repository, algorithm: 'sha256', offset: 0, updatedAt: 1_000 } as const
  return { id: id as UploadId, ...defaults, ...fields }
}

function uploads(check: Check): void {
  check('knows a session under its repository alone', async (metadata) => {
    const session = upload('a', { algorithm: 'sha512', offset: 7 })
    await metadata.createUpload(session)
    assert.deepEqual(await metadata.findUpload(repository, session.id), session)
    assert.equal(await metadata.findUpload(other, session.id), undefined)
    assert.equal(await metadata.findUpload(repository, 'A' as UploadId), undefined)
    // A session alone makes no repository.
    assert.equal(await metadata.hasRepository(repository), false)
    assert.equal((await metadata.countContent()).uploads, 1)
  })

  check('keeps an offset and the time of its change', async (metadata, clock) => {
    await metadata.createUpload(upload('a'))
    await metadata.createUpload(upload('b'))
    clock.advance(5_000)
    await metadata.setUploadOffset('a' as UploadId, 6_000_000_000)
    const expected = upload('a', { offset: 6_000_000_000, updatedAt: clock.now() })
    assert.deepEqual(await metadata.findUpload(repository, 'a' as UploadId), expected)
    assert.deepEqual(await metadata.findUpload(repository, 'b' as UploadId), upload('b'))
  })

  check('ends a session with its blob, in one step, or alone', async (metadata) => {
    for (const id of ['a', 'b']) await metadata.createUpload(upload(id))
    await metadata.putBlob(repository, blob('x'), 'a' as UploadId)
    assert.equal(await metadata.findUpload(repository, 'a' as UploadId), undefined)
    assert.deepEqual(await metadata.findBlob(repository, digest('x')), blob('x'))
    assert.equal(await metadata.deleteUpload('b' as UploadId), true)
    assert.equal(await metadata.deleteUpload('b' as UploadId), false)
    assert.equal(await metadata.findUpload(repository, 'b' as UploadId), undefined)
  })

  check('lists sessions that rested, the longest first, and not more than asked for', async (m) => {
    for (const [id, updatedAt] of [
      ['a', 30],
      ['b', 10],
      ['c', 20],
      ['d', 40],
    ] as const) {
      await m.createUpload(upload(id, { updatedAt }))
    }
    const idle = async (before: number, limit: number): Promise<string[]> =>
      (await m.listIdleUploads(before, limit)).map(({ id }) => id)
    assert.deepEqual(await idle(10, 10), [])
    assert.deepEqual(await idle(40, 10), ['b', 'c', 'a'])
    assert.deepEqual(await idle(40, 2), ['b', 'c'])
    assert.deepEqual(await m.listIdleUploads(11, 1), [upload('b', { updatedAt: 10 })])
    await m.setUploadOffset('b' as UploadId, 1)
    assert.deepEqual(await idle(40, 10), ['c', 'a'])
  })

  check('says which of many ids are sessions', async (metadata) => {
    await metadata.createUpload(upload('a'))
    await metadata.createUpload(upload('b'))
    const asked = ['a', 'x', ...Array.from({ length: 1_000 }, (_, index) => `no ${index}`)]
    assert.deepEqual(await metadata.knownUploads(asked as UploadId[]), new Set(['a']))
  })
}
