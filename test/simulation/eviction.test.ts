// Random pulls, pushes, deletions and garbage collection at the same time, over a cache that is far too
// small for them, on disks that fail now and then. Whatever happens: all that was pushed and not deleted is there,
// no repository has anything without its bytes, nothing cached is forgotten by eviction, and the
// cache is as small as it should be.
//
// TROW_SIMULATION_STEPS makes it longer, TROW_SIMULATION_SEED repeats one.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { mediaTypes } from '../../src/oci/media-type.ts'
import { OciError } from '../../src/oci/errors.ts'
import { parseReference } from '../../src/oci/reference.ts'
import { parseRepositoryName, type RepositoryName } from '../../src/oci/repository-name.ts'
import { Collector } from '../../src/registry/collector.ts'
import { CacheUses } from '../../src/registry/cache-uses.ts'
import { Eviction } from '../../src/registry/eviction.ts'
import { Fills } from '../../src/registry/fills.ts'
import type { UpstreamBlob } from '../../src/registry/ports/upstream.ts'
import { KnownDamage } from '../../src/registry/known-damage.ts'
import { ContentRemoval } from '../../src/registry/remove-content.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { collect, inPieces, patternBytes } from '../support/bytes.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { InjectedFault } from '../support/faulty-stores.ts'
import { noTagPolicy } from '../support/no-policy.ts'
import { requestContext, silentLog } from '../support/request-context.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'
import { Random } from './random.ts'
import { startRegistry } from './registry-under-test.ts'

const steps = Math.ceil(Number(process.env['TROW_SIMULATION_STEPS'] ?? 200) / 4)
const seed = Number(process.env['TROW_SIMULATION_SEED'] ?? Math.floor(Math.random() * 1_000_000))
const maxBytes = 20_000
const context = requestContext()
const pushed = ['a', 'b'].map((name) => parseRepositoryName(name))
const cached = ['f/host/a', 'f/host/b'].map((name) => name as RepositoryName)

interface Content {
  readonly digest: Digest
  readonly bytes: Buffer
}

/** Half of an image's layers are of all images, half of one. */
const layers: readonly Content[] = Array.from({ length: 30 }, (_, index) => {
  const bytes = patternBytes(200 + ((index * 977) % 3_000), index)
  return { bytes, digest: digestOf(bytes) }
})

interface Image extends Content {
  readonly layers: readonly Content[]
}

function makeImage(random: Random): Image {
  const own = random.some(layers, 4)
  const [config = layers[0], ...rest] = own
  assert.ok(config)
  const describe = ({ digest, bytes }: Content): object => ({
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest,
    size: bytes.length,
  })
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: describe(config),
    layers: rest.map(describe),
    annotations: { variant: String(random.below(4)) },
  }
  const bytes = Buffer.from(JSON.stringify(document))
  return { bytes, digest: digestOf(bytes), layers: [config, ...rest] }
}

async function start(root: string) {
  const clock = new FakeClock()
  const registry = await startRegistry(root, clock)
  const { metadata, blobStore: blobs, uploadStore: uploads, locks, manifests } = registry
  const damage = new KnownDamage()
  const parts = { metadata, blobs, uploads, locks, damage, clock, log: silentLog }
  const uses = new CacheUses(parts, { flushSeconds: 3_600, gatheredMax: 100, perWriteMax: 3 })
  const removal = new ContentRemoval(parts, { atOnceMax: 3 })
  const eviction = new Eviction(
    { ...parts, removal, uses, manifests },
    {
      highWatermark: 0.9,
      lowWatermark: 0.6,
      perStepMax: 3,
      retrySeconds: 10,
      measurementHoldsSeconds: 10,
    },
  )
  const fills = new Fills(
    { ...parts, room: eviction },
    {
      heldBackBytes: 10,
      fruitlessTriesMax: 0,
      retryDelaySeconds: 0,
      retryAfterSecondsMax: 0,
      tooLargeRememberedMax: 1,
    },
  )
  eviction.setMaxBytes(maxBytes)
  const collector = new Collector(
    {
      ...parts,
      uses,
      manifests,
      uploads: registry.uploads,
      promises: { expiredBefore: 0 },
      removal: new ContentRemoval(parts, { atOnceMax: 2 }),
      monotonicClock: clock,
    },
    { rowsPerStep: 3, perWriteMax: 2, tagsMax: 10, pauseShare: 0 },
    { graceSeconds: 1, uploadIdleSeconds: 1_000_000, tagPolicy: noTagPolicy },
  )
  return { registry, clock, uses, removal, eviction, fills, collector }
}

type Started = Awaited<ReturnType<typeof start>>

/** What was pushed and acknowledged, by repository; what is being pushed or deleted is in neither. */
class Pushed {
  readonly blobs = new Map<string, Content>()
  readonly manifests = new Map<string, Image>()
  /** Digests that were deleted somewhere, sometime. */
  readonly deleted = new Set<string>()
}

function makeSteps(started: Started, model: Pushed, random: Random) {
  const { registry, uses, eviction, fills } = started

  async function pull(): Promise<void> {
    const repository = random.pick(cached)
    const image = makeImage(random)
    const wanted = image.layers.filter(() => !random.chance(4))
    if (!random.chance(5)) {
      const { bytes, digest } = image
      const fetched = { digest, bytes, size: bytes.length, mediaType: mediaTypes.ociManifest }
      await registry.manifests.cacheManifest(context, repository, fetched, [])
      eviction.add(bytes.length)
      uses.touch(repository, digest)
    }
    for (const layer of wanted) await fetchLayer(repository, layer)
  }

  async function fetchLayer(repository: RepositoryName, layer: Content): Promise<void> {
    const { digest, bytes } = layer
    const open = async (): Promise<UpstreamBlob> => ({
      size: bytes.length,
      offset: 0,
      chunks: inPieces(bytes, 500),
      [Symbol.asyncDispose]: async () => undefined,
    })
    const { reader } = await fills.open({
      repository,
      host: 'host',
      digest,
      flight: '',
      findSize: async () => undefined,
      open,
    })
    using _ = eviction.use(digest)
    assert.ok((await collect(reader.read())).equals(bytes))
    await reader[Symbol.asyncDispose]()
  }

  async function pushImage(): Promise<void> {
    const repository = random.pick(pushed)
    const image = makeImage(random)
    for (const layer of image.layers) {
      const key = `${repository} ${layer.digest}`
      const chunk = { bytes: inPieces(layer.bytes, 500) }
      await registry.uploads.pushBlob(context, repository, layer.digest, chunk)
      model.blobs.set(key, layer)
    }
    const push = {
      reference: parseReference(image.digest),
      bytes: image.bytes,
      contentType: undefined,
      tags: [],
    }
    await registry.manifests.putManifest(context, repository, push)
    model.manifests.set(`${repository} ${image.digest}`, image)
  }

  async function remove(): Promise<void> {
    const [kind, known] = random.pick([
      ['manifest', model.manifests],
      ['blob', model.blobs],
    ] as const)
    if (known.size === 0) return
    const key = random.pick([...known.keys()])
    const [name = '', digest = ''] = key.split(' ')
    const repository = parseRepositoryName(name)
    const reference = parseReference(digest) as Digest
    const was = known.get(key)
    known.delete(key)
    model.deleted.add(digest)
    try {
      if (kind === 'manifest') {
        await registry.manifests.deleteManifest(context, repository, reference)
      } else {
        await registry.blobs.deleteBlob(context, repository, reference)
      }
    } catch (error) {
      if (!(error instanceof OciError) || error.code !== 'DENIED') throw error
      if (was !== undefined) known.set(key, was as Image)
    }
  }

  async function touch(): Promise<void> {
    const [entry] = await registry.metadata.listEvictable({ limit: 1 })
    if (entry !== undefined) uses.touch(entry.repository, entry.digest)
  }

  /** What was deleted goes; what nobody refers to stays, as the grace is longer than all this takes. */
  async function collectGarbage(): Promise<void> {
    const signal = new AbortController().signal
    const monitor = { signal, progress: () => undefined, tell: async () => undefined }
    await started.collector.collect({ dryRun: false }, monitor)
  }

  return { pull, collectGarbage, others: [pushImage, pushImage, remove, touch] }
}

/** What a fault breaks is told to whoever asked for it. */
async function tolerant(step: () => Promise<void>): Promise<void> {
  try {
    await step()
  } catch (error) {
    if (!(error instanceof OciError && error.cause instanceof InjectedFault)) throw error
  }
}

/** Looks at the database in the simplest way there is, and at the files. */
class Check implements Disposable {
  readonly #root: string
  readonly #started: Started
  readonly #model: Pushed
  readonly #database: DatabaseSync

  constructor(root: string, started: Started, model: Pushed) {
    this.#root = root
    this.#started = started
    this.#model = model
    this.#database = new DatabaseSync(new DataLayout(root).database, { readOnly: true })
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  async all(hasFaults: boolean): Promise<void> {
    await this.#pushedIsThere()
    await this.#everythingHasBytes()
    await this.#nothingIsForgotten()
    await this.#isSmall()
    if (!hasFaults) await this.#nothingIsLeftBehind()
  }

  /** After a pass in which nothing failed, deleted content is gone, too. */
  nothingIsNobodys(): void {
    const known = new Set(this.#contents('true').map(({ digest }) => String(digest)))
    const rows = this.#query('select digest from blobs union all select digest from removals')
    assert.deepEqual(
      rows.map(({ digest }) => String(digest)).filter((digest) => !known.has(digest)),
      [],
    )
  }

  async #pushedIsThere(): Promise<void> {
    const { blobs, manifests } = this.#started.registry
    for (const [key, { bytes, digest }] of this.#model.blobs) {
      const repository = parseRepositoryName(key.split(' ')[0] ?? '')
      await using reader = await blobs.openBlob(context, repository, digest)
      assert.ok((await collect(reader.read())).equals(bytes), key)
    }
    for (const [key, { bytes, digest }] of this.#model.manifests) {
      const repository = parseRepositoryName(key.split(' ')[0] ?? '')
      const found = await manifests.getManifest(context, repository, digest)
      assert.ok(bytes.equals(found.bytes), key)
    }
  }

  async #everythingHasBytes(): Promise<void> {
    for (const { digest } of this.#contents('true')) {
      await using reader = await this.#started.registry.blobStore.openBlob(digest as Digest)
      assert.ok(reader, `${String(digest)} has no bytes`)
      assert.equal(digestOf(await collect(reader.read())), digest)
    }
  }

  /** All that is cached can be evicted: manifests, with their blobs, and all other blobs. */
  async #nothingIsForgotten(): Promise<void> {
    const expected = this.#query(`
      select name || ' ' || digest as entry from manifests, repositories
        where id = repository_id and name like 'f/%'
      union all select name || ' ' || b.digest from repository_blobs b, repositories
        where id = repository_id and name like 'f/%' and not exists (
          select 1 from manifest_references r
          where r.repository_id = b.repository_id and r.digest = b.digest)`)
    const listed = await this.#started.registry.metadata.listEvictable({ limit: 10_000 })
    assert.deepEqual(
      listed.map(({ repository, digest }) => `${repository} ${digest}`).toSorted(byText),
      expected.map(({ entry }) => String(entry)).toSorted(byText),
    )
  }

  async #isSmall(): Promise<void> {
    const all = this.#contents("name like 'f/%'")
    const own = new Set(this.#contents("name not like 'f/%'").map(({ digest }) => digest))
    const cachedOnly = all.filter(({ digest }) => !own.has(digest))
    const bytes = cachedOnly.reduce((total, { size }) => total + Number(size), 0)
    assert.equal(await this.#started.registry.metadata.measureCache(), bytes)
    assert.ok(bytes <= 0.9 * maxBytes, `${bytes} bytes are cached`)
  }

  /** What nobody has is gone, but for what was deleted: that is left to garbage collection. */
  async #nothingIsLeftBehind(): Promise<void> {
    const known = new Set(this.#contents('true').map(({ digest }) => String(digest)))
    const rows = this.#query('select digest from blobs').map(({ digest }) => String(digest))
    const nobodys = rows.filter((digest) => !known.has(digest))
    assert.deepEqual(
      nobodys.filter((digest) => !this.#model.deleted.has(digest)),
      [],
    )
    const files = await readdir(join(this.#root, 'blobs', 'sha256'), { recursive: true })
    const stored = files.filter((path) => path.includes('/')).map((path) => path.slice(3))
    assert.deepEqual(stored.map((hex) => `sha256:${hex}`).toSorted(byText), rows.toSorted(byText))
    assert.deepEqual(await this.#started.registry.listStaged(), [])
  }

  /** What the repositories that fit have, each once. */
  #contents(repositories: string): Record<string, unknown>[] {
    return this.#query(`
      select distinct digest, size from blobs where digest in (
        select digest from repository_blobs, repositories
          where id = repository_id and ${repositories}
        union all select digest from manifests, repositories
          where id = repository_id and ${repositories})`)
  }

  #query(sql: string): Record<string, unknown>[] {
    return this.#database.prepare(sql).all()
  }
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1
}

async function live(random: Random, hasFaults: boolean): Promise<Eviction> {
  await using directory = await temporaryDirectory()
  const started = await start(directory.path)
  const { registry, clock, eviction, fills, uses } = started
  await using _ = registry
  const model = new Pushed()
  using check = new Check(directory.path, started, model)
  const { pull, collectGarbage, others } = makeSteps(started, model, random)
  for (let step = 0; step < steps; step += 1) {
    clock.advance(1_000)
    if (hasFaults && random.chance(4)) {
      const code = random.pick(['EIO', 'ENOSPC'] as const)
      const moment = random.pick(['before', 'after'] as const)
      registry.faults.arm({ code, moment }, { skip: random.below(20), times: 2 })
    }
    // Pushes one after the other, as it is not known what two contrary ones come to.
    const pulls = Array.from({ length: random.below(4) }, () => pull)
    const collections = random.chance(2) ? [collectGarbage] : []
    const all = [...pulls, ...collections, random.pick(others)]
    await Promise.all(all.map((each) => tolerant(each)))
    await until('nothing is being fetched', () => fills.size === 0)
    await eviction.settled()
    registry.faults.disarm()
    // Past the pause after a failure, the next write does what could not be done.
    clock.advance(10_000)
    eviction.add(0)
    await eviction.settled()
    const isCollected = random.chance(4)
    if (isCollected) await collectGarbage()
    try {
      await check.all(hasFaults)
      if (isCollected) check.nothingIsNobodys()
    } catch (error) {
      throw new Error(`after step ${step + 1}`, { cause: error })
    }
  }
  await fills[Symbol.asyncDispose]()
  await eviction[Symbol.asyncDispose]()
  await uses[Symbol.asyncDispose]()
  return eviction
}

for (const hasFaults of [false, true]) {
  const disks = hasFaults ? 'disks that fail' : 'good disks'
  test(`eviction harms nothing in ${steps} random steps on ${disks} (seed ${seed})`, async () => {
    const eviction = await live(new Random(seed), hasFaults)
    assert.ok(eviction.totals.manifests > 0)
  })
}
