// The races of garbage collection, each one stopped in the middle: whatever a client was told holds,
// whatever a manifest needs stays, and what nobody needs goes in the end.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName, type RepositoryName } from '../../../src/oci/repository-name.ts'
import {
  Collector,
  type CollectorParts,
  type CollectorSettings,
} from '../../../src/registry/collector.ts'
import { OperationSchedule } from '../../../src/registry/operation-schedule.ts'
import { Manifests } from '../../../src/registry/manifests.ts'
import { Mounts } from '../../../src/registry/mounts.ts'
import { Operations } from '../../../src/registry/operations.ts'
import type { MetadataStore } from '../../../src/registry/ports/metadata-store.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import { ContentRemoval } from '../../../src/registry/remove-content.ts'
import {
  graceSeconds,
  renewalSeconds,
  type StartedRegistry,
  startTemporaryRegistry,
} from '../../simulation/registry-under-test.ts'
import { inPieces } from '../../support/bytes.ts'
import { noTagPolicy, noUses } from '../../support/no-policy.ts'
import { requestContext, silentLog } from '../../support/request-context.ts'
import { until } from '../../support/until.ts'
import { withMethod } from '../../support/with-method.ts'
import { noLinks } from '../../support/no-links.ts'

const context = requestContext()
const [a, b] = ['a', 'b'].map((name) => parseRepositoryName(name)) as [
  RepositoryName,
  RepositoryName,
]
const cached = 'f/host/app' as RepositoryName
const expiryMs = (graceSeconds + renewalSeconds) * 1000 + 1
const layer = Buffer.from('a layer')
const layerDigest = digestOf(layer)

const monitor = {
  signal: new AbortController().signal,
  progress: (): void => undefined,
  tell: async (): Promise<void> => undefined,
}

function collectorOf(
  { registry, clock }: StartedRegistry,
  parts: Partial<CollectorParts> = {},
  settings: Partial<CollectorSettings> = {},
): Collector {
  const { metadata, blobStore: blobs, locks, uploads, promises } = registry
  const removal = new ContentRemoval({ metadata, blobs, locks }, { atOnceMax: 2 })
  const { manifests } = registry
  const held = { uses: noUses, manifests, promises, damage: new KnownDamage() }
  const common = { metadata, removal, uploads, ...held, clock, monotonicClock: clock }
  return new Collector(
    { ...common, log: silentLog, ...parts },
    { rowsPerStep: 2, perWriteMax: 2, tagsMax: 100, pauseShare: 0 },
    { graceSeconds, uploadIdleSeconds: 3_600, tagPolicy: noTagPolicy, ...settings },
  )
}

function collect(started: StartedRegistry, metadata?: MetadataStore) {
  const collector = collectorOf(started, metadata && { metadata })
  return collector.collect({ dryRun: false }, monitor)
}

async function push({ registry }: StartedRegistry, repository: RepositoryName, bytes = layer) {
  const chunk = { bytes: inPieces(bytes, 100) }
  await registry.uploads.pushBlob(context, repository, digestOf(bytes), chunk)
}

function imageOf(...layers: readonly Digest[]): Buffer {
  const [config = layerDigest] = layers
  const describe = (digest: Digest) => ({ mediaType: 'text/x', digest, size: 7 })
  const mediaType = mediaTypes.ociManifest
  const document = { schemaVersion: 2, mediaType, config: describe(config) }
  return Buffer.from(JSON.stringify({ ...document, layers: layers.map(describe) }))
}

async function pushManifest(
  { registry }: StartedRegistry,
  repository: RepositoryName,
  bytes: Buffer,
): Promise<Digest> {
  const reference = parseReference(digestOf(bytes))
  const put = { reference, bytes, contentType: undefined, tags: [] }
  return (await registry.manifests.putManifest(context, repository, put)).digest
}

async function hasBlob({ registry }: StartedRegistry, repository: RepositoryName, digest: Digest) {
  const record = await registry.metadata.findBlob(repository, digest)
  const stored = await registry.blobStore.statBlob(digest)
  assert.equal(record === undefined || stored !== undefined, true, 'known without its bytes')
  return record !== undefined
}

describe('what a client was told holds for the grace', () => {
  test('of a blob that was pushed: its manifest may come late', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(graceSeconds * 1000)
    await collect(started)
    await pushManifest(started, a, imageOf(layerDigest))
    started.clock.advance(10 * expiryMs)
    await collect(started)
    assert.ok(await hasBlob(started, a, layerDigest))
  })

  test('of an old blob that was asked for, at the last moment before it would have gone', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    await started.registry.blobs.getBlob(context, a, layerDigest)
    await collect(started)
    started.clock.advance(graceSeconds * 1000)
    await collect(started)
    await pushManifest(started, a, imageOf(layerDigest))
  })

  test('of one that was asked for often: what is not noted is added to the grace', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(renewalSeconds * 1000 - 1)
    await started.registry.blobs.getBlob(context, a, layerDigest)
    started.clock.advance(graceSeconds * 1000)
    await collect(started)
    assert.ok(await hasBlob(started, a, layerDigest))
  })

  test('over a crash: it is in the database before it is told', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    const now = started.clock.now()
    await started.registry.blobs.getBlob(context, a, layerDigest)
    const { metadata } = started.registry
    assert.deepEqual((await metadata.scanUnneededBlobs(now, { rows: 10 })).found, [])
  })

  test('of one that is asked for between the search and the deletion', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    const { metadata, blobs } = started.registry
    const inBetween = withMethod(metadata, 'unlinkUnneededBlobs', async (...args) => {
      await blobs.getBlob(context, a, layerDigest)
      return metadata.unlinkUnneededBlobs(...args)
    })
    await collect(started, inBetween)
    assert.ok(await hasBlob(started, a, layerDigest))
  })

  test('of one whose mount was acknowledged, although it was there for long', async () => {
    await using started = await startTemporaryRegistry()
    for (const repository of [a, b]) await push(started, repository)
    started.clock.advance(expiryMs)
    const { metadata, blobStore: blobs } = started.registry
    const mounts = new Mounts({ metadata, blobs }, { candidatesMax: 10 })
    await mounts.mountBlob(context, b, layerDigest, { from: a })
    await collect(started)
    assert.deepEqual(
      [await hasBlob(started, a, layerDigest), await hasBlob(started, b, layerDigest)],
      [false, true],
    )
  })

  test('and a blob that just went is not mounted: it is to be uploaded', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    const { metadata, blobStore: blobs } = started.registry
    const goes = withMethod(metadata, 'mountBlob', async (...args) => {
      await collect(started)
      return metadata.mountBlob(...args)
    })
    const mounts = new Mounts({ metadata: goes, blobs }, { candidatesMax: 10 })
    assert.equal(await mounts.mountBlob(context, b, layerDigest, { from: a }), undefined)
    assert.equal(await blobs.statBlob(layerDigest), undefined)
  })

  test('after the clock was set, for a whole grace by a clock that only goes forward', async () => {
    await using started = await startTemporaryRegistry()
    let monotonic = 0
    const collector = collectorOf(started, { monotonicClock: { now: () => monotonic } })
    await push(started, a)
    started.clock.advance(365 * 86_400_000)
    const pass = () => collector.collect({ dryRun: false }, monitor)
    assert.equal((await pass()).clockJumped, true)
    assert.ok(await hasBlob(started, a, layerDigest))
    monotonic += graceSeconds * 1000
    started.clock.advance(graceSeconds * 1000)
    assert.equal((await pass()).clockJumped, undefined)
    assert.ok(!(await hasBlob(started, a, layerDigest)))
  })
})

describe('what a manifest needs stays', () => {
  test('also when the manifest comes between the search and the deletion', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    const { metadata } = started.registry
    const inBetween = withMethod(metadata, 'unlinkUnneededBlobs', async (...args) => {
      await pushManifest(started, a, imageOf(layerDigest))
      return metadata.unlinkUnneededBlobs(...args)
    })
    const { unneeded } = await collect(started, inBetween)
    assert.equal(unneeded, 0)
    assert.ok(await hasBlob(started, a, layerDigest))
  })

  test('or the manifest is refused, and names what it lacks', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    const { metadata, blobStore: blobs, locks } = started.registry
    // After its first look, before its bytes and its row.
    const late = withMethod(metadata, 'putManifest', async (...args) => {
      await collect(started)
      return metadata.putManifest(...args)
    })
    const settings = {
      referencesMax: 10,
      cacheEntriesMax: 1,
      cacheBytesMax: 100,
      tagPolicy: noTagPolicy,
    }
    const manifests = new Manifests(
      { metadata: late, blobs, locks, damage: new KnownDamage(), uses: noUses, links: noLinks },
      settings,
    )
    const bytes = imageOf(layerDigest)
    const reference = parseReference(digestOf(bytes))
    const put = { reference, bytes, contentType: undefined, tags: [] }
    await assert.rejects(manifests.putManifest(context, a, put), { code: 'MANIFEST_BLOB_UNKNOWN' })
  })

  test('in the repository of the manifest, and not in others', async () => {
    await using started = await startTemporaryRegistry()
    for (const repository of [a, b]) await push(started, repository)
    await pushManifest(started, a, imageOf(layerDigest))
    started.clock.advance(expiryMs)
    const report = await collect(started)
    assert.deepEqual(report, {
      dryRun: false,
      uploads: 0,
      tags: 0,
      manifests: 0,
      unneeded: 1,
      waiting: 0,
      blobs: 0,
      bytes: 0,
    })
    assert.ok(await hasBlob(started, a, layerDigest))
    assert.ok(!(await hasBlob(started, b, layerDigest)))
  })

  test('with all it lists: children of indexes, and layers that need not be here', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    const foreign = Buffer.from('foreign')
    await push(started, a, foreign)
    const image = await pushManifest(started, a, imageOf(layerDigest))
    const document = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: 'text/x', digest: layerDigest, size: 7 },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
          digest: digestOf(foreign),
          size: 7,
        },
      ],
    }
    await pushManifest(started, a, Buffer.from(JSON.stringify(document)))
    const child = { mediaType: mediaTypes.ociManifest, digest: image, size: 7 }
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [child] }
    const indexDigest = await pushManifest(started, a, Buffer.from(JSON.stringify(index)))
    started.clock.advance(10 * expiryMs)
    assert.deepEqual(await collect(started), {
      dryRun: false,
      uploads: 0,
      tags: 0,
      manifests: 0,
      unneeded: 0,
      waiting: 0,
      blobs: 0,
      bytes: 0,
    })
    for (const digest of [indexDigest, image]) {
      await started.registry.manifests.getManifest(context, a, digest)
    }
    assert.ok(await hasBlob(started, a, digestOf(foreign)))
  })

  test('and what is cached stays, complete or not', async () => {
    await using started = await startTemporaryRegistry()
    const { metadata, blobStore, manifests } = started.registry
    await blobStore.putBlob(layerDigest, layer)
    await metadata.putBlob(cached, { digest: layerDigest, size: layer.length })
    const bytes = imageOf(digestOf(Buffer.from('not fetched yet')))
    const mediaType = mediaTypes.ociManifest
    const fetched = { bytes, digest: digestOf(bytes), size: bytes.length, mediaType }
    await manifests.cacheManifest(context, cached, fetched, [])
    started.clock.advance(100 * expiryMs)
    const { unneeded, blobs } = await collect(started)
    assert.deepEqual([unneeded, blobs], [0, 0])
    assert.ok(await hasBlob(started, cached, layerDigest))
  })
})

describe('content that is deleted', () => {
  test('keeps its bytes while another repository has them, and loses them with the last', async () => {
    await using started = await startTemporaryRegistry()
    const { blobs, blobStore } = started.registry
    for (const repository of [a, b]) await push(started, repository)
    await blobs.deleteBlob(context, a, layerDigest)
    assert.equal((await collect(started)).blobs, 0)
    assert.ok(await hasBlob(started, b, layerDigest))
    await blobs.deleteBlob(context, b, layerDigest)
    assert.deepEqual(await collect(started), {
      dryRun: false,
      uploads: 0,
      tags: 0,
      manifests: 0,
      unneeded: 0,
      waiting: 0,
      blobs: 1,
      bytes: layer.length,
    })
    assert.equal(await blobStore.statBlob(layerDigest), undefined)
  })

  test('is whole again when it is pushed between its row and its bytes', async () => {
    await using started = await startTemporaryRegistry()
    const { metadata, blobs } = started.registry
    await push(started, a)
    await blobs.deleteBlob(context, a, layerDigest)
    let pushing: Promise<void> | undefined
    const { blobStore, locks } = started.registry
    const removing = withMethod(blobStore, 'deleteBlob', async (digest) => {
      // It waits for the end of the removal, so it must not be waited for here.
      pushing ??= push(started, b)
      await blobStore.deleteBlob(digest)
    })
    const removal = new ContentRemoval({ metadata, blobs: removing, locks }, { atOnceMax: 2 })
    await collectorOf(started, { removal }).collect({ dryRun: false }, monitor)
    await pushing
    assert.ok(await hasBlob(started, b, layerDigest))
  })

  test('leaves nothing when the program ends between its row and its bytes', async () => {
    await using started = await startTemporaryRegistry()
    const { metadata, blobs, blobStore } = started.registry
    await push(started, a)
    await push(started, b, Buffer.from('other'))
    for (const [repository, bytes] of [
      [a, layer],
      [b, Buffer.from('other')],
    ] as const) {
      await blobs.deleteBlob(context, repository, digestOf(bytes))
      await metadata.forgetContent([digestOf(bytes)])
    }
    // One of them is pushed again after the next start.
    await push(started, b, Buffer.from('other'))
    const { blobs: removed } = await collect(started)
    assert.equal(removed, 1)
    assert.equal(await blobStore.statBlob(layerDigest), undefined)
    assert.ok(await hasBlob(started, b, digestOf(Buffer.from('other'))))
    assert.deepEqual(await metadata.listRemovals(10), [])
  })
})

describe('a pass', () => {
  test('that only looks changes nothing, and says what the next one does', async () => {
    await using started = await startTemporaryRegistry()
    const { blobs } = started.registry
    for (const text of ['1', '2', '3']) await push(started, a, Buffer.from(text))
    await push(started, b)
    started.clock.advance(expiryMs)
    await blobs.deleteBlob(context, b, layerDigest)
    const collector = collectorOf(started)
    const expected = {
      uploads: 0,
      tags: 0,
      manifests: 0,
      unneeded: 3,
      waiting: 0,
      blobs: 1,
      bytes: layer.length,
    }
    for (let times = 0; times < 2; times += 1) {
      const report = await collector.collect({ dryRun: true }, monitor)
      assert.deepEqual(report, { dryRun: true, ...expected })
    }
    assert.deepEqual(collector.totals, { passes: 0, failures: 0, blobs: 0, bytes: 0 })
    const done = await collector.collect({ dryRun: false }, monitor)
    assert.deepEqual([done.unneeded, done.blobs], [3, 4])
    assert.equal(collector.totals.blobs, 4)
  })

  test('ends after its step when it is told to, and the next one does the rest', async () => {
    await using started = await startTemporaryRegistry()
    for (let index = 0; index < 20; index += 1) await push(started, a, Buffer.from(String(index)))
    started.clock.advance(expiryMs)
    const { metadata } = started.registry
    const controller = new AbortController()
    const counted = withMethod(metadata, 'unlinkUnneededBlobs', (...args) => {
      controller.abort(new OciError('UNAVAILABLE'))
      return metadata.unlinkUnneededBlobs(...args)
    })
    const collector = collectorOf(started, { metadata: counted })
    const ended = { ...monitor, signal: controller.signal }
    await assert.rejects(collector.collect({ dryRun: false }, ended), { code: 'UNAVAILABLE' })
    assert.equal(
      (await metadata.scanUnneededBlobs(started.clock.now(), { rows: 100 })).found.length,
      18,
    )
    assert.equal((await collect(started)).blobs, 20)
  })

  test('that a disk breaks is tried again, and is counted as a failure', async () => {
    await using started = await startTemporaryRegistry()
    await push(started, a)
    started.clock.advance(expiryMs)
    const collector = collectorOf(started)
    started.registry.faults.arm({ code: 'EIO', moment: 'before' })
    await assert.rejects(collector.collect({ dryRun: false }, monitor), { code: 'UNAVAILABLE' })
    started.registry.faults.disarm()
    assert.equal((await collector.collect({ dryRun: false }, monitor)).blobs, 1)
    const { passes, failures } = collector.totals
    assert.deepEqual([passes, failures], [1, 1])
  })

  test('comes again and again', async () => {
    await using started = await startTemporaryRegistry()
    const operations = new Operations(
      { log: silentLog },
      { itemsWaitingMax: 1, progressSecondsMin: 1, progressSecondsMax: 1 },
    )
    const collector = collectorOf(started)
    const times = { isEnabled: true, intervalSeconds: 0.01 }
    await using schedule = new OperationSchedule(
      { operations, kind: 'gc', work: (monitor) => collector.collect({ dryRun: false }, monitor) },
      times,
    )
    await until('three passes', () => collector.totals.passes >= 3)
    schedule.reload({ ...times, isEnabled: false })
  })
})

test('a database that is known to be damaged says nothing that is removed by', async () => {
  await using started = await startTemporaryRegistry()
  const damage = new KnownDamage()
  damage.database = 'it is damaged: a page is torn'
  const collector = collectorOf(started, { damage })
  const refused = { code: 'UNAVAILABLE', message: /nothing is collected: it is damaged/ }
  await assert.rejects(collector.collect({ dryRun: false }, monitor), refused)
  assert.equal(collector.totals.failures, 1)
})
