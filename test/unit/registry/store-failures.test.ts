// What the verbs make of stores that fail: the client is told the first cause, not the one that came
// from cleaning up after it, and nothing that was cached outlives a write.

import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import { Manifests } from '../../../src/registry/manifests.ts'
import { Uploads } from '../../../src/registry/uploads.ts'
import { inPieces } from '../../support/bytes.ts'
import { noTagPolicy, noUses } from '../../support/no-policy.ts'
import { requestContext } from '../../support/request-context.ts'
import { withMethod } from '../../support/with-method.ts'
import { startTemporaryRegistry } from '../../simulation/registry-under-test.ts'
import { noLinks } from '../../support/no-links.ts'

const context = requestContext()
const repository = parseRepositoryName('a')
const content = Buffer.from('content')
const digest = digestOf(content)

test('a push that fails for want of space says so, even if cleaning up fails too', async () => {
  await using started = await startTemporaryRegistry()
  const { uploads, faults } = started.registry
  const warnings: string[] = []
  const log = { ...context.log, warn: (_: object, message: string) => void warnings.push(message) }
  const failing = { ...context, log }
  const push = (): Promise<unknown> =>
    uploads.pushBlob(failing, repository, digest, { bytes: inPieces(content, 3) })
  faults.arm({ code: 'ENOSPC', moment: 'midway' }, { times: 2 })
  await assert.rejects(push(), { code: 'STORAGE_FULL' })
  assert.equal(warnings.length, 1)
  faults.disarm()
  const broken = { bytes: inPieces(Buffer.from('other'), 3) }
  faults.arm({ code: 'EIO', moment: 'before' }, { skip: 1 })
  await assert.rejects(uploads.pushBlob(failing, repository, digest, broken), {
    code: 'DIGEST_INVALID',
  })
})

test('a session whose client comes back while idle ones are removed is not idle', async () => {
  await using started = await startTemporaryRegistry()
  const { clock, registry } = started
  const metadata = withMethod(registry.metadata, 'listIdleUploads', async (before, limit) => {
    const idle = await registry.metadata.listIdleUploads(before, limit)
    await uploads.appendToUpload(repository, upload.id, { bytes: inPieces(content, 3) })
    return idle
  })
  const { uploadStore, locks } = registry
  const stores = { metadata, uploads: uploadStore, locks, clock }
  const uploads = new Uploads(stores, { digestersMax: 1 })
  const upload = await uploads.startUpload(repository, 'sha256')
  const other = await uploads.startUpload(repository, 'sha256')
  clock.advance(1_000)
  assert.equal(await uploads.expireUploads(clock.now(), 10), 1)
  assert.equal((await uploads.getUpload(repository, upload.id)).offset, content.length)
  await assert.rejects(uploads.getUpload(repository, other.id), { code: 'BLOB_UPLOAD_UNKNOWN' })
})

test('a tag whose push failed in the middle is answered as the database has it', async () => {
  await using started = await startTemporaryRegistry()
  const { manifests, uploads, faults } = started.registry
  await uploads.pushBlob(context, repository, digest, { bytes: inPieces(content, 3) })
  const descriptor = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 7 }
  const push = (variant: number): Promise<unknown> =>
    manifests.putManifest(context, repository, {
      reference: parseReference('latest'),
      bytes: Buffer.from(JSON.stringify({ config: descriptor, layers: [], variant })),
      contentType: undefined,
      tags: [],
    })
  const get = async (): Promise<string> => {
    const { bytes } = await manifests.getManifest(context, repository, parseReference('latest'))
    return Buffer.from(bytes).toString()
  }
  await push(1)
  assert.match(await get(), /"variant":1/)
  faults.arm({ code: 'EIO', moment: 'after' })
  await assert.rejects(push(2), { code: 'UNAVAILABLE' })
  faults.disarm()
  assert.match(await get(), /"variant":1/)
  await push(2)
  assert.match(await get(), /"variant":2/)
})

test('a write whose connection broke after the commit is seen by the next read', async () => {
  await using started = await startTemporaryRegistry()
  const { registry } = started
  const broken = new Error('connection lost')
  const metadata = withMethod(registry.metadata, 'putManifest', async (...args) => {
    await registry.metadata.putManifest(...args)
    throw broken
  })
  const settings = {
    referencesMax: 10,
    cacheEntriesMax: 10,
    cacheBytesMax: 10_000,
    tagPolicy: noTagPolicy,
  }
  const { blobStore, locks } = registry
  const manifests = new Manifests(
    { metadata, blobs: blobStore, locks, damage: new KnownDamage(), uses: noUses, links: noLinks },
    settings,
  )
  const latest = parseReference('latest')
  const push = (variant: number): Promise<unknown> => {
    const bytes = Buffer.from(JSON.stringify({ manifests: [], variant }))
    return manifests.putManifest(context, repository, {
      reference: latest,
      bytes,
      contentType: undefined,
      tags: [],
    })
  }
  for (const variant of [1, 2]) {
    await assert.rejects(push(variant), broken)
    const { bytes } = await manifests.getManifest(context, repository, latest)
    assert.equal(Buffer.from(bytes).toString(), `{"manifests":[],"variant":${variant}}`)
  }
})

const full = new OciError('STORAGE_FULL')

test('bytes of a chunk that could not be counted are given back', async () => {
  await using started = await startTemporaryRegistry()
  const { registry, clock } = started
  let isFull = true
  const metadata = withMethod(registry.metadata, 'setUploadOffset', (id, offset) =>
    isFull ? Promise.reject(full) : registry.metadata.setUploadOffset(id, offset),
  )
  const stores = { metadata, uploads: registry.uploadStore, locks: registry.locks, clock }
  const uploads = new Uploads(stores, { digestersMax: 1 })
  const { id } = await uploads.startUpload(repository, 'sha256')
  const append = () => uploads.appendToUpload(repository, id, { bytes: inPieces(content, 3) })
  await assert.rejects(append(), { code: 'STORAGE_FULL' })
  const directory = join(started.path, 'uploads')
  assert.equal(statSync(join(directory, id)).size, 0)
  isFull = false
  assert.equal((await append()).offset, content.length)
  const last = { digest, chunk: { bytes: inPieces(Buffer.alloc(0), 1) } }
  assert.equal((await uploads.completeUpload(context, repository, id, last)).digest, digest)
})

test('bytes of a chunk that is not as long as it says are given back', async () => {
  await using started = await startTemporaryRegistry()
  const { uploads } = started.registry
  const { id } = await uploads.startUpload(repository, 'sha256')
  const range = { start: 0, endInclusive: 2 }
  const chunk = { bytes: inPieces(content, 3), range }
  await assert.rejects(uploads.appendToUpload(repository, id, chunk), { code: 'SIZE_INVALID' })
  assert.equal(statSync(join(started.path, 'uploads', id)).size, 0)
})

test('a session that a full disk has no room to forget makes that room itself', async () => {
  await using started = await startTemporaryRegistry()
  const { registry, clock } = started
  const metadata = withMethod(registry.metadata, 'deleteUpload', async (id) => {
    if ((await registry.listStaged()).length > 0) throw full
    return registry.metadata.deleteUpload(id)
  })
  const stores = { metadata, uploads: registry.uploadStore, locks: registry.locks, clock }
  const uploads = new Uploads(stores, { digestersMax: 1 })
  const { id } = await uploads.startUpload(repository, 'sha256')
  await uploads.appendToUpload(repository, id, { bytes: inPieces(content, 3) })
  await uploads.cancelUpload(repository, id)
  await assert.rejects(uploads.getUpload(repository, id), { code: 'BLOB_UPLOAD_UNKNOWN' })
  assert.deepEqual(await registry.listStaged(), [])
})
