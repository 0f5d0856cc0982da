/**
 * Fetching blobs of upstreams: one transfer for each blob of a repository, however many clients ask
 * for it. A transfer that breaks goes on from its last byte; only a wrong digest throws bytes away.
 * Where bytes cannot be stored, each client gets a transfer of its own, and nothing is kept.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { LruCache } from '../lib/lru-cache.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { type Digest, digestAlgorithm } from '../oci/digest.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { BlobFill } from './blob-fill.ts'
import type { Reservation } from './cache-tally.ts'
import type { ContentLocks } from './content-locks.ts'
import type { CacheRoom } from './eviction.ts'
import {
  type Beginning,
  contentError,
  type FillSource,
  sizeUnknown,
  skip,
  stopped,
  upTo,
} from './fill-source.ts'
import { hashStaged } from './hash-staged.ts'
import { loopHashing } from './loop-hashing.ts'
import type { BlobReader, ByteRange } from './ports/blob-store.ts'
import type { Hashing, RunningDigest } from './ports/hashing.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { UploadId, UploadReader, UploadStore } from './ports/upload-store.ts'
import type { UpstreamBlob } from './ports/upstream.ts'
import type { Log } from './request-context.ts'
import { readUncached } from './uncached-blob.ts'

export interface FillSettings {
  /** Bytes at the end of a blob that no client gets before all of it is verified. */
  readonly heldBackBytes: number
  /** Transfers in a row that bring no byte before the fill is given up. */
  readonly fruitlessTriesMax: number
  readonly retryDelaySeconds: number
  /** So long is waited at most where an upstream is to be left alone. */
  readonly retryAfterSecondsMax: number
  /** Blobs that are too large to be stored, so that each is logged once. */
  readonly tooLargeRememberedMax: number
}

interface Parts {
  readonly metadata: MetadataStore
  readonly uploads: UploadStore
  readonly locks: ContentLocks
  readonly room: CacheRoom
  /** On the event loop, where nothing else is said. */
  readonly hashing?: Hashing
  readonly log: Log
}

interface Filling {
  readonly fill: BlobFill
  readonly id: UploadId
  readonly digest: RunningDigest
  readonly reservation: Reservation
  /** Begins when the last byte is written. */
  verification?: Promise<void>
}

/** What clients can read of. */
interface Running {
  readonly fill: BlobFill
  /** Resolves when it is over, whether or not the blob is kept. */
  readonly ended: Promise<void>
}

export interface OpenedFill {
  readonly reader: BlobReader
  /** Whether it was under way already. */
  readonly joined: boolean
  readonly ended: Promise<void>
}

interface Staged {
  readonly id: UploadId
  readonly reader: UploadReader
}

export class Fills implements AsyncDisposable {
  readonly #metadata: MetadataStore
  readonly #uploads: UploadStore
  readonly #locks: ContentLocks
  readonly #room: CacheRoom
  readonly #hashing: Hashing
  readonly #log: Log
  readonly #settings: FillSettings
  readonly #starting = new SingleFlight<string, Running>()
  readonly #running = new Map<string, Running>()
  /** What must end before the stores are closed. */
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #stop = new AbortController()
  readonly #tooLarge: LruCache<Digest, true>

  constructor(parts: Parts, settings: FillSettings) {
    this.#metadata = parts.metadata
    this.#uploads = parts.uploads
    this.#locks = parts.locks
    this.#room = parts.room
    this.#hashing = parts.hashing ?? loopHashing
    this.#log = parts.log
    this.#settings = settings
    this.#tooLarge = new LruCache({ entriesMax: settings.tooLargeRememberedMax })
  }

  /** Transfers under way. */
  get size(): number {
    return this.#running.size
  }

  /**
   * Joins the transfer of the blob, or begins one.
   * @throws UpstreamError when it cannot be begun.
   */
  async open(source: FillSource): Promise<OpenedFill> {
    const key = `${source.repository}@${source.digest}`
    const known = this.#running.get(key)
    const flight = `${key} ${source.flight}`
    const joined = known !== undefined || this.#starting.has(flight)
    const start = () => this.#track(this.#start(key, source))
    const running = known ?? (await this.#starting.run(flight, start))
    return { reader: running.fill.openReader(), joined, ended: running.ended }
  }

  /** Breaks off what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    // One that is just beginning ends as soon as it has begun.
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  /** @throws UpstreamError when it breaks off, too. */
  async #beginTransfer(source: FillSource): Promise<UpstreamBlob> {
    const { signal } = this.#stop
    try {
      return await source.open(0, signal)
    } catch (error) {
      if (!signal.aborted) throw error
      throw stopped(source)
    }
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work)
    const forget = (): void => void this.#underWay.delete(work)
    work.then(forget, forget)
    return work
  }

  async #start(key: string, source: FillSource): Promise<Running> {
    const blob = await this.#beginTransfer(source)
    // Of a question that had to go its own way.
    const begun = this.#running.get(key)
    if (begun !== undefined) {
      await blob[Symbol.asyncDispose]()
      return begun
    }
    const size = blob.size ?? (await source.findSize().catch(() => undefined))
    if (size === undefined) {
      await blob[Symbol.asyncDispose]()
      throw sizeUnknown(source)
    }
    const reservation = await this.#room.reserve({ digest: source.digest, size })
    if (reservation === undefined) {
      await blob[Symbol.asyncDispose]()
      return this.#unstaged(source, size, this.#tooLargeFor(source, size))
    }
    let staged: Staged
    try {
      staged = await this.#stage()
    } catch (error) {
      reservation[Symbol.dispose]()
      await blob[Symbol.asyncDispose]()
      const { repository, digest } = source
      this.#log.warn({ err: error, repository, digest }, 'a blob is passed on without caching it')
      return this.#unstaged(source, size, error as Error)
    }
    const fill = this.#makeFill(source, size, staged.reader)
    const digest = this.#hashing.begin(digestAlgorithm(source.digest), size)
    const filling = { fill, id: staged.id, digest, reservation }
    const running = { fill, ended: this.#track(this.#run(key, filling, source, blob)) }
    this.#running.set(key, running)
    return running
  }

  async #stage(): Promise<Staged> {
    const id = randomUUID() as UploadId
    // So that there is something to open before the first byte is here.
    await this.#uploads.appendToUpload(id, 0, nothing(), {})
    return { id, reader: await this.#uploads.openUpload(id) }
  }

  #unstaged(source: FillSource, size: number, error: Error): Running {
    const fill = this.#makeFill(source, size, nothingStaged)
    fill.fail(error)
    return { fill, ended: Promise.resolve() }
  }

  #tooLargeFor({ repository, digest }: FillSource, size: number): Error {
    const message =
      'a blob is larger than registry_proxies.max_size, or storage has no room for it, and is passed on without caching it'
    if (!this.#tooLarge.get(digest)) this.#log.warn({ repository, digest, size }, message)
    this.#tooLarge.set(digest, true)
    return new Error(message)
  }

  #makeFill(source: FillSource, size: number, staged: UploadReader): BlobFill {
    const { heldBackBytes } = this.#settings
    const { signal } = this.#stop
    const blob = { size, heldBackBytes, signal }
    const uncached = (range: ByteRange, beginning?: Beginning): AsyncIterable<Uint8Array> =>
      readUncached(source, blob, range, beginning)
    return new BlobFill(size, { staged, uncached, heldBackBytes })
  }

  /** Never rejects: what goes wrong is told to whoever reads the fill. */
  async #run(
    key: string,
    filling: Filling,
    source: FillSource,
    first: UpstreamBlob,
  ): Promise<void> {
    try {
      await this.#fill(filling, source, first)
      this.#running.delete(key)
    } catch (error) {
      const { repository, digest } = source
      // Nobody joins it any more: who asks from now on begins another one.
      this.#running.delete(key)
      const told = await toldOf(filling, source, error)
      filling.fill.fail(told.error, told.beginning)
      await this.#uploads.deleteUpload(filling.id).catch(() => undefined)
      this.#log.warn({ err: error, repository, digest }, 'a blob could not be cached')
    }
    filling.digest[Symbol.dispose]()
    filling.reservation[Symbol.dispose]()
    await filling.fill.release().catch(() => undefined)
  }

  async #fill(filling: Filling, source: FillSource, first: UpstreamBlob): Promise<void> {
    const { fill, id, reservation } = filling
    const { repository, digest } = source
    await this.#transfer(filling, source, first)
    await this.#locks.whileStoring(digest, async () => {
      await this.#uploads.commitUpload(id, digest)
      await reservation.keep(() => this.#metadata.putBlob(repository, { digest, size: fill.size }))
    })
    this.#log.info({ repository, digest, size: fill.size }, 'blob cached')
  }

  async #transfer(filling: Filling, source: FillSource, first: UpstreamBlob): Promise<void> {
    const { fill } = filling
    const { signal } = this.#stop
    let open = async (): Promise<UpstreamBlob> => first
    let fruitless = 0
    for (;;) {
      const before = fill.written
      const failure = await this.#append(filling, source, open)
      if (fill.written === fill.size && failure === undefined) break
      fruitless = fill.written > before ? 0 : fruitless + 1
      if (fruitless > this.#settings.fruitlessTriesMax) {
        throw failure ?? contentError(source, 'it ends transfers early, again and again')
      }
      await delay(this.#pauseAfter(failure, fruitless), undefined, { signal })
      this.#log.info({ host: source.host, digest: source.digest, offset: fill.written }, 'resuming')
      open = () => source.open(fill.written, signal)
    }
    await this.#verify(filling, source)
  }

  /** Milliseconds. An upstream that is left alone for a moment has not failed again by then. */
  #pauseAfter(failure: Error | undefined, fruitless: number): number {
    const { retryDelaySeconds, retryAfterSecondsMax } = this.#settings
    const asked = failure instanceof UpstreamError ? (failure.retryAfterMs ?? 0) : 0
    return Math.max(
      retryDelaySeconds * 1000 * fruitless,
      Math.min(asked, retryAfterSecondsMax * 1000),
    )
  }

  /** @returns what broke the transfer. @throws when the bytes are wrong or cannot be stored. */
  async #append(
    filling: Filling,
    source: FillSource,
    open: () => Promise<UpstreamBlob>,
  ): Promise<Error | undefined> {
    const opened = await passingFailure(open)
    if (opened instanceof UpstreamError) return opened
    await using transfer = opened
    const { fill, id, digest } = filling
    const { written, size } = fill
    if (transfer.offset > written || (transfer.size ?? size) !== size) {
      throw contentError(source, 'it answers with other bytes than before')
    }
    const chunks = upTo(skip(transfer.chunks, written - transfer.offset), size - written)
    const { error } = await this.#uploads.appendToUpload(id, written, chunks, {
      ...digest.observer,
      onWritten: (offset) => {
        fill.advance(offset)
        // Clients need not wait until the disk has it all. Whether it failed is asked for later.
        if (offset === size) this.#verify(filling, source).catch(() => undefined)
      },
    })
    return error
  }

  /** @throws UpstreamError when the bytes are not those of the digest; nobody gets the last of them. */
  #verify(filling: Filling, source: FillSource): Promise<void> {
    const { fill, id, digest } = filling
    const verify = async (): Promise<void> => {
      const known = await digest.digest()
      const actual = known ?? (await hashStaged(this.#uploads, id, fill.size, digest.algorithm))
      if (actual !== source.digest)
        throw contentError(source, `its bytes have the digest ${actual}`)
      fill.verify()
    }
    filling.verification ??= verify()
    return filling.verification
  }
}

/** What readers of a fill that ended are to know: why, and what they have got the beginning of. */
async function toldOf(
  { fill, digest, verification }: Filling,
  source: FillSource,
  error: unknown,
): Promise<{ error: Error; beginning?: Beginning }> {
  try {
    await verification
  } catch (wrong) {
    return { error: wrong as Error }
  }
  if (fill.isVerified || error instanceof UpstreamError) return { error: error as Error }
  // This machine ended it before its bytes could be verified.
  const { size } = digest
  const known = await digest.digest()
  if (known !== undefined) return { error: error as Error, beginning: { size, digest: known } }
  // No others may be put after bytes of which nothing is known.
  return { error: contentError(source, 'what arrived of it cannot be told from other bytes') }
}

/** @returns a failure after which it makes sense to try again. */
async function passingFailure<T>(work: () => Promise<T>): Promise<T | UpstreamError> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UpstreamError && error.retryable) return error
    throw error
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Of a blob that could not be staged at all. */
const nothingStaged: UploadReader = {
  read: nothing,
  [Symbol.asyncDispose]: async () => undefined,
}
