// Random steps, each taken by the registry and by the model, and the comparison of the two. A step
// that a fault broke has to have changed nothing, with the few exceptions that are written out.

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { isDigestReference, parseReference } from '../../src/oci/reference.ts'
import { parseRepositoryName, type RepositoryName } from '../../src/oci/repository-name.ts'
import { parseTag } from '../../src/oci/tag.ts'
import type { ByteRange } from '../../src/registry/ports/blob-store.ts'
import type { CollectionReport } from '../../src/registry/collection-pass.ts'
import { Rebuild } from '../../src/registry/rebuild.ts'
import type { Chunk } from '../../src/registry/upload-session.ts'
import { inPieces } from '../support/bytes.ts'
import { FakeClock } from '../support/fake-clock.ts'
import type { FiredFault } from '../support/faulty-stores.ts'
import { requestContext, silentMonitor } from '../support/request-context.ts'
import { Comparison, readBlob, tracesKept } from './comparison.ts'
import { blobContents, type ManifestPushContent, randomManifest } from './content.ts'
import { Model, type ModelUpload, Refusal } from './model.ts'
import { clientGone, describe, isInjected, outcomeOf } from './outcome.ts'
import { keepsAll, randomPolicy, tagPolicyOf } from './model-images.ts'
import { Random } from './random.ts'
import {
  graceSeconds,
  type RegistryUnderTest,
  renewalSeconds,
  startRegistry,
} from './registry-under-test.ts'

const repositories = ['a', 'a/b', 'c'].map((name) => parseRepositoryName(name))
const tags = ['1', 'Latest', 'latest', 'v1.0', '_x'].map((text) => parseTag(text))
const context = requestContext()
const idleMs = 60_000

interface Step<T> {
  readonly registry: () => Promise<T>
  readonly model: () => T
  /** What a fault leaves behind where that is more than nothing. */
  readonly afterFault?: (fired: readonly FiredFault[]) => void
}

interface Running {
  readonly clock: FakeClock
  readonly registry: RegistryUnderTest
}

export class Simulation implements AsyncDisposable {
  readonly history: string[] = []
  readonly #root: string
  readonly #random: Random
  readonly #clock: FakeClock
  readonly #model = new Model()
  #registry: RegistryUnderTest
  /** All that was ever tried, known or not. */
  readonly #blobs = new Set<Digest>(blobContents.map(({ digest }) => digest))
  readonly #manifests = new Set<Digest>()
  readonly #subjects = new Set<Digest>(blobContents.slice(0, 1).map(({ digest }) => digest))
  /** The manifest that was pushed last, in all ways that it can be. */
  #pushed: ManifestPushContent[] | undefined
  readonly #sessions = new Map<string, RepositoryName>()
  /** A fault kept staged bytes from being removed; the next start does that. */
  #mayHaveLeftovers = false
  #policy = keepsAll
  readonly #counts = new Map<string, number>()

  /** A step that stands here twice is taken twice as often. */
  readonly #steps: readonly (() => Promise<void>)[] = [
    ...times(8, () => this.#pushBlob()),
    ...times(4, () => this.#startUpload()),
    ...times(8, () => this.#appendToUpload()),
    ...times(5, () => this.#completeUpload()),
    ...times(1, () => this.#cancelUpload()),
    ...times(3, () => this.#mountBlob()),
    ...times(24, () => this.#putManifest()),
    ...times(6, () => this.#deleteManifest()),
    ...times(3, () => this.#deleteBlob()),
    ...times(3, () => this.#removeImage()),
    ...times(1, () => this.#removeRepository()),
    ...times(3, () => this.#changePolicy()),
    ...times(2, () => this.#read()),
    ...times(1, () => this.#expireUploads()),
    ...times(1, () => this.#restart()),
    ...times(1, () => this.#loseDatabase()),
    ...times(3, () => this.#collect()),
    ...times(5, () => this.#wait()),
  ]

  private constructor(root: string, seed: number, running: Running) {
    this.#root = root
    this.#random = new Random(seed)
    this.#registry = running.registry
    this.#clock = running.clock
  }

  static async start(root: string, seed: number): Promise<Simulation> {
    const clock = new FakeClock()
    return new Simulation(root, seed, { clock, registry: await startRegistry(root, clock) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registry[Symbol.asyncDispose]()
  }

  /** How often each step was taken, with each outcome. */
  summary(): string {
    const counts = [...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return counts.map(([outcome, count]) => `${outcome}: ${count}`).join(', ')
  }

  async step(): Promise<void> {
    const random = this.#random
    if (random.chance(3)) {
      const fault = {
        code: random.pick(['ENOSPC', 'EIO'] as const),
        moment: random.pick(['before', 'midway', 'after'] as const),
      }
      const when = { skip: random.below(2), times: 1 + random.below(2) }
      this.#registry.faults.arm(fault, when)
      this.history.push(`(${fault.code} ${fault.moment}, skip ${when.skip}, times ${when.times})`)
    }
    await random.pick(this.#steps)()
    this.#forget()
    this.#registry.faults.disarm()
  }

  /** What is long gone is looked for no more, or a long run would do little else. */
  #forget(): void {
    const { uploads, repositories } = this.#model
    const isHeld = (digest: Digest): boolean =>
      [...repositories.values()].some(
        ({ blobs, manifests }) => blobs.has(digest) || manifests.has(digest),
      )
    for (const digests of [this.#blobs, this.#manifests, this.#subjects]) {
      const gone = [...digests].filter((digest) => !isHeld(digest))
      for (const digest of gone.slice(0, -tracesKept)) digests.delete(digest)
    }
    const ended = [...this.#sessions.keys()].filter((id) => !uploads.has(id))
    for (const id of ended.slice(0, -tracesKept)) this.#sessions.delete(id)
  }

  async #take<T>(name: string, step: Step<T>): Promise<void> {
    const outcome = await outcomeOf(step.registry)
    const { fired } = this.#registry.faults
    const failed = 'error' in outcome && isInjected(outcome.error)
    if (fired.some(({ operation }) => operation === 'deleteUpload')) this.#mayHaveLeftovers = true
    const label = failed ? 'broken by a fault' : describe(outcome)
    this.history.push(`${name}: ${label}`)
    const verb = name.split(' ')[0] ?? name
    this.#counts.set(`${verb} ${label}`, (this.#counts.get(`${verb} ${label}`) ?? 0) + 1)
    if (failed) {
      assert.ok(fired.length > 0)
      step.afterFault?.(fired)
      return
    }
    const expected = await outcomeOf(() => Promise.resolve().then(step.model))
    assert.equal(describe(outcome), describe(expected), name)
    if ('value' in outcome && 'value' in expected) {
      assert.deepEqual(outcome.value, expected.value, name)
    }
  }

  #pushBlob(): Promise<void> {
    const random = this.#random
    const repository = random.pick(repositories)
    const content = random.pick(blobContents)
    const bytes = random.chance(5) ? Buffer.from('not what the digest says') : content.bytes
    const breaks = random.chance(5)
    const { digest } = content
    return this.#take(`pushBlob ${repository} ${short(digest)}${breaks ? ' (breaks)' : ''}`, {
      registry: () =>
        this.#registry.uploads.pushBlob(context, repository, digest, {
          bytes: this.#body(bytes, breaks),
        }),
      model: () => {
        if (breaks) throw clientGone
        if (bytes !== content.bytes) throw new Refusal('DIGEST_INVALID')
        this.#model.putBlob(repository, digest, bytes, this.#clock.now())
        return { digest, size: bytes.length }
      },
    })
  }

  #startUpload(): Promise<void> {
    const repository = this.#random.pick(repositories)
    const algorithm = this.#random.pick(['sha256', 'sha512'] as const)
    let id = ''
    return this.#take(`startUpload ${repository}`, {
      registry: async () => {
        id = (await this.#registry.uploads.startUpload(repository, algorithm)).id
        this.#sessions.set(id, repository)
      },
      model: () => this.#model.startUpload(id, repository, this.#clock.now()),
    })
  }

  /** A session, mostly one that is open, with a chunk for it. */
  #pickUpload() {
    const random = this.#random
    const open = [...this.#model.uploads.keys()]
    const ids = open.length > 0 && !random.chance(8) ? open : [...this.#sessions.keys(), 'unknown']
    const id = random.pick(ids)
    const repository = random.chance(10)
      ? random.pick(repositories)
      : (this.#sessions.get(id) ?? random.pick(repositories))
    const offset = this.#model.uploads.get(id)?.bytes.length ?? 0
    const bytes = random.pick(blobContents).bytes.subarray(0, random.below(2_500))
    const breaks = random.chance(6)
    const range = this.#pickRange(offset, bytes.length)
    return { id, repository, bytes, breaks, range }
  }

  /** None, the right one, one out of order, or one of another length than the body. */
  #pickRange(offset: number, length: number): ByteRange | undefined {
    const random = this.#random
    if (length === 0 || random.chance(2)) return undefined
    const start = random.chance(6) ? offset + random.below(5) : offset
    const extra = random.chance(6) ? random.below(3) : 0
    return { start, endInclusive: start + length + extra - 1 }
  }

  #appendToUpload(): Promise<void> {
    const { id, repository, bytes, breaks, range } = this.#pickUpload()
    return this.#take(`appendToUpload ${id.slice(0, 8)} +${bytes.length}`, {
      registry: async () => {
        const chunk = this.#chunk(bytes, breaks, range)
        return (await this.#registry.uploads.appendToUpload(repository, id, chunk)).offset
      },
      model: () => {
        const upload = this.#model.getUpload(repository, id)
        this.#append(upload, { bytes, breaks, range })
        upload.updatedAt = this.#clock.now()
        if (breaks) throw clientGone
        return upload.bytes.length
      },
    })
  }

  /** What an append does to the model's session. The length of a body that breaks is not judged. */
  #append(
    upload: ModelUpload,
    chunk: { bytes: Buffer; breaks: boolean; range: ByteRange | undefined },
  ): void {
    const { bytes, breaks, range } = chunk
    if (range !== undefined && range.start !== upload.bytes.length) {
      throw new Refusal('RANGE_INVALID')
    }
    if (upload.lost) throw new Refusal('BLOB_UPLOAD_UNKNOWN')
    const spans = range === undefined ? bytes.length : range.endInclusive - range.start + 1
    if (!breaks && spans !== bytes.length) throw new Refusal('SIZE_INVALID')
    upload.bytes = Buffer.concat([upload.bytes, breaks ? arrivedOf(bytes) : bytes])
  }

  #completeUpload(): Promise<void> {
    const random = this.#random
    const { id, repository, bytes, breaks, range } = this.#pickUpload()
    const staged = this.#model.uploads.get(id)?.bytes ?? Buffer.alloc(0)
    const whole = Buffer.concat([staged, bytes])
    const algorithm = random.pick(['sha256', 'sha256', 'sha512'] as const)
    const wrong = random.chance(6)
    const digest = wrong ? random.pick(blobContents).digest : digestOf(whole, algorithm)
    this.#blobs.add(digest)
    return this.#take(`completeUpload ${id.slice(0, 8)} +${bytes.length}`, {
      registry: () =>
        this.#registry.uploads.completeUpload(context, repository, id, {
          digest,
          chunk: this.#chunk(bytes, breaks, range),
        }),
      model: () => {
        const upload = this.#model.getUpload(repository, id)
        this.#append(upload, { bytes, breaks, range })
        upload.updatedAt = this.#clock.now()
        if (breaks) throw clientGone
        this.#model.uploads.delete(id)
        const isRight = digest === digestOf(upload.bytes, digestAlgorithmOf(digest))
        if (!isRight) throw new Refusal('DIGEST_INVALID')
        this.#model.putBlob(repository, digest, upload.bytes, this.#clock.now())
        return { digest, size: upload.bytes.length }
      },
      afterFault: (fired) => {
        const upload = this.#model.uploads.get(id)
        const last = fired.at(-1)
        // The digest was wrong: the session has ended, only its bytes could not be removed.
        if (last?.operation === 'deleteUpload') this.#model.uploads.delete(id)
        if (upload && last?.operation === 'commitUpload' && last.moment === 'after') {
          upload.lost = upload.bytes.length > 0
        }
      },
    })
  }

  #cancelUpload(): Promise<void> {
    const { id, repository } = this.#pickUpload()
    const end = (): void => {
      this.#model.uploads.delete(id)
    }
    return this.#take(`cancelUpload ${id.slice(0, 8)}`, {
      registry: () => this.#registry.uploads.cancelUpload(repository, id),
      model: () => {
        this.#model.getUpload(repository, id)
        end()
      },
      // The session ends first: without it the bytes are nobody's.
      afterFault: end,
    })
  }

  #mountBlob(): Promise<void> {
    const random = this.#random
    const repository = random.pick(repositories)
    const from = random.chance(2) ? random.pick(repositories) : undefined
    const digest = random.pick([...this.#blobs])
    return this.#take(`mountBlob ${repository} ${short(digest)} from ${from ?? 'anywhere'}`, {
      registry: async () => {
        const source = from === undefined ? {} : { from }
        const { mounts } = this.#registry
        return (await mounts.mountBlob(context, repository, digest, source)) !== undefined
      },
      model: () => this.#model.mountBlob(repository, digest, from, this.#clock.now()),
    })
  }

  #putManifest(): Promise<void> {
    const random = this.#random
    const repository = random.pick(repositories)
    const again = random.chance(4) ? this.#pushed : undefined
    const ways = again ?? randomManifest(random, this.#surroundings(repository))
    const { manifest, contentType } = random.pick(ways)
    this.#pushed = ways
    // Under a tag the digest is the registry's choice.
    const byTag = manifest.digest.startsWith('sha256:') && random.chance(2)
    const wrong = !byTag && random.chance(8)
    const digest = wrong ? digestOf(Buffer.from('something else')) : manifest.digest
    const reference = byTag ? random.pick(tags) : digest
    const more = random.some(tags, 2)
    this.#manifests.add(digest)
    const { bytes, subject } = manifest
    if (subject !== undefined) this.#subjects.add(subject)
    return this.#take(`putManifest ${repository} ${reference.slice(0, 15)} ${manifest.mediaType}`, {
      registry: () =>
        this.#registry.manifests.putManifest(context, repository, {
          reference,
          bytes,
          contentType,
          tags: more,
        }),
      model: () => {
        if (wrong) throw new Refusal('DIGEST_INVALID')
        const taken = { tags: byTag ? [reference, ...more] : more, now: this.#clock.now() }
        this.#model.putManifest(repository, manifest, taken)
        return { digest, ...(subject !== undefined && { subject }) }
      },
    })
  }

  /** What a new manifest may refer to; now and then what the repository does not have. */
  #surroundings(repository: RepositoryName) {
    const known = this.#model.repositories.get(repository)
    const has = {
      blobs: [...(known?.blobs ?? [])],
      manifests: [...(known?.manifests.keys() ?? [])],
    }
    const all = blobContents.map(({ digest }) => digest)
    const subjects = [...all.slice(0, 2), ...has.manifests]
    const missing = this.#random.chance(6)
    return {
      blobs: missing || has.blobs.length === 0 ? all : has.blobs,
      manifests: missing ? [...this.#manifests] : has.manifests,
      subjects,
    }
  }

  #deleteManifest(): Promise<void> {
    const repository = this.#random.pick(repositories)
    const has = [...(this.#model.repositories.get(repository)?.manifests.keys() ?? [])]
    const any = [...tags, ...this.#manifests]
    const reference = this.#random.pick(this.#random.chance(4) || has.length === 0 ? any : has)
    return this.#take(`deleteManifest ${repository} ${reference.slice(0, 15)}`, {
      registry: () => this.#registry.manifests.deleteManifest(context, repository, reference),
      model: () => this.#model.deleteManifest(repository, reference, this.#clock.now()),
    })
  }

  #deleteBlob(): Promise<void> {
    const repository = this.#random.pick(repositories)
    const has = [...(this.#model.repositories.get(repository)?.blobs ?? [])]
    const any = [...this.#blobs]
    const digest = this.#random.pick(this.#random.chance(4) || has.length === 0 ? any : has)
    return this.#take(`deleteBlob ${repository} ${short(digest)}`, {
      registry: () => this.#registry.blobs.deleteBlob(context, repository, digest),
      model: () => this.#model.deleteBlob(repository, digest),
    })
  }

  /** As `trow rm` does. */
  #removeImage(): Promise<void> {
    const repository = this.#random.pick(repositories)
    const has = [...(this.#model.repositories.get(repository)?.manifests.keys() ?? [])]
    const any = [...tags, ...this.#manifests]
    const reference = this.#random.pick(this.#random.chance(2) || has.length === 0 ? any : has)
    const dryRun = this.#random.chance(4)
    const name = `rm ${repository} ${reference.slice(0, 15)}${dryRun ? ' (dry run)' : ''}`
    return this.#take(name, {
      registry: async () => {
        const { images } = this.#registry
        const gone = await images.deleteImage(context, repository, reference, { dryRun })
        return { ...gone, tags: gone.tags.toSorted(), manifests: gone.manifests.toSorted() }
      },
      model: () => {
        const now = this.#clock.now()
        return this.#model.deleteImage(repository, reference, { dryRun, now })
      },
    })
  }

  #removeRepository(): Promise<void> {
    const repository = this.#random.pick(repositories)
    const dryRun = !this.#random.chance(4)
    return this.#take(`rmRepository ${repository}${dryRun ? ' (dry run)' : ''}`, {
      registry: () => this.#registry.images.deleteRepository(context, repository, { dryRun }),
      model: () => this.#model.deleteRepository(repository, { dryRun }),
    })
  }

  /** What is kept how long, as when the configuration is reloaded. */
  async #changePolicy(): Promise<void> {
    this.#policy = randomPolicy(this.#random)
    this.history.push(`policy ${JSON.stringify(this.#policy)}`)
    this.#applyPolicy()
  }

  #applyPolicy(): void {
    const { untaggedSeconds } = this.#policy
    this.#registry.collector.reload({
      graceSeconds,
      uploadIdleSeconds: graceSeconds,
      ...(untaggedSeconds !== undefined && { untaggedSeconds }),
      tagPolicy: tagPolicyOf(this.#policy),
    })
  }

  /** One read that a fault may hit; without one, `compare` reads everything. */
  async #read(): Promise<void> {
    const random = this.#random
    const repository = random.pick(repositories)
    const digest = random.pick([...this.#blobs])
    await this.#take(`openBlob ${repository} ${short(digest)}`, {
      registry: () => readBlob(this.#registry, repository, digest),
      model: () => this.#model.getBlob(repository, digest),
    })
    const reference = random.pick([...tags, ...this.#manifests])
    await this.#take(`getManifest ${repository} ${reference.slice(0, 15)}`, {
      registry: async () =>
        (await this.#registry.manifests.getManifest(context, repository, reference)).digest,
      model: () => this.#model.pullManifest(repository, reference, this.#clock.now()).digest,
      // By digest it is noted before it is looked for.
      afterFault: () => {
        const known = parseReference(reference)
        if (isDigestReference(known)) this.#model.pulled(repository, known, this.#clock.now())
      },
    })
  }

  #expireUploads(): Promise<void> {
    this.#registry.faults.disarm()
    this.#clock.advance(this.#random.below(idleMs / 2))
    const before = this.#clock.now() - idleMs
    return this.#take('expireUploads', {
      registry: () => this.#registry.uploads.expireUploads(before, 1_000),
      model: () => this.#model.expireUploads(before),
    })
  }

  async #restart(): Promise<void> {
    this.history.push('restart')
    await this.#registry.uses.flush()
    await this.#registry[Symbol.asyncDispose]()
    this.#registry = await startRegistry(this.#root, this.#clock)
    this.#applyPolicy()
    this.#mayHaveLeftovers = false
  }

  /** All of it comes back from what lies beside it. */
  async #loseDatabase(): Promise<void> {
    this.history.push('lose the database')
    await this.#registry.links.sync()
    await this.#registry[Symbol.asyncDispose]()
    for (const suffix of ['', '-wal', '-shm']) {
      await rm(join(this.#root, `metadata.db${suffix}`), { force: true })
    }
    this.#registry = await startRegistry(this.#root, this.#clock)
    this.#applyPolicy()
    const { metadata, blobStore: blobs, linkStore: links } = this.#registry
    const settings = { manifestBytesMax: 1_000_000, tellsIncomplete: true }
    const report = await new Rebuild({ metadata, blobs, links }, settings, silentMonitor).run()
    assert.equal(report.problems, 0)
    this.#model.loseDatabase(this.#clock.now())
    this.#mayHaveLeftovers = false
  }

  /** Some of the grace, or all of it. */
  async #wait(): Promise<void> {
    const seconds = this.#random.pick([5, 30, graceSeconds + renewalSeconds, 3 * graceSeconds])
    this.history.push(`wait ${seconds} s`)
    this.#clock.advance(seconds * 1000 + 1)
    if (this.#random.chance(2)) await this.#collect()
  }

  /** What a fault keeps it from, the next pass does. */
  #collect(): Promise<void> {
    const before = this.#clock.now() - graceSeconds * 1000
    return this.#take('collect', {
      registry: async () => {
        const { collector, faults, uses } = this.#registry
        await uses.flush()
        await collector.collect({ dryRun: true }, silentMonitor)
        const first = await outcomeOf(() => collector.collect({ dryRun: false }, silentMonitor))
        if (!('error' in first)) return this.#countCollected(first.value)
        if (!isInjected(first.error)) throw first.error
        if (faults.fired.some(({ operation }) => operation === 'deleteUpload')) {
          this.#mayHaveLeftovers = true
        }
        faults.disarm()
        await collector.collect({ dryRun: false }, silentMonitor)
      },
      model: () => {
        this.#model.expireUploads(before)
        this.#model.collect(this.#clock.now(), this.#policy)
      },
    })
  }

  /** Reads everything there is, or could be, from both. */
  async compare(): Promise<void> {
    await new Comparison({
      registry: this.#registry,
      model: this.#model,
      random: this.#random,
      clock: this.#clock,
      repositories,
      tags,
      blobs: this.#blobs,
      manifests: this.#manifests,
      subjects: this.#subjects,
      sessions: this.#sessions,
      mayHaveLeftovers: this.#mayHaveLeftovers,
    }).run()
  }

  #countCollected({ tags: expired, manifests }: CollectionReport): void {
    for (const [name, count] of Object.entries({ expired, manifests })) {
      const label = `collected ${name}`
      this.#counts.set(label, (this.#counts.get(label) ?? 0) + count)
    }
  }

  #chunk(bytes: Buffer, breaks: boolean, range: ByteRange | undefined): Chunk {
    return { bytes: this.#body(bytes, breaks), ...(range && { range }) }
  }

  async *#body(bytes: Buffer, breaks: boolean): AsyncGenerator<Uint8Array> {
    yield* inPieces(breaks ? arrivedOf(bytes) : bytes, 700)
    if (breaks) throw clientGone
  }
}

function times<T>(count: number, item: T): T[] {
  return Array.from({ length: count }, () => item)
}

/** Of a body that breaks. */
function arrivedOf(bytes: Buffer): Buffer {
  return bytes.subarray(0, Math.floor(bytes.length / 2))
}

function digestAlgorithmOf(digest: Digest): 'sha256' | 'sha512' {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512'
}

function short(digest: Digest): string {
  return digest.slice(0, 15)
}
