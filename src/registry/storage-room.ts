/**
 * Room for what is pushed, before the disk is full: a push is refused that would take more than the
 * registry may have, or leave less than it has to leave free. The cache makes room first. Invariants:
 * nothing is refused for a count that may be too high; reading never asks here.
 */
import { Semaphore } from '../lib/semaphore.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { OciError } from '../oci/errors.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly blobs: Pick<BlobStore, 'freeBytes'>
  readonly metadata: Pick<MetadataStore, 'measureContent'>
  /** Has the cache give back so much. @returns the bytes that it gave. */
  readonly evict: (bytes: number) => Promise<number>
  readonly log: Log
}

interface Settings {
  /** A body of unknown length is let in by so much at a time. */
  readonly stepBytes: number
  /** A push is told to come again after so long. */
  readonly retryAfterSeconds: number
}

/** What is configured; absent where there is no bound. */
export interface StorageBounds {
  readonly maxBytes?: number
  readonly minFreeBytes?: number
}

/** What stands against a push, and by how much. */
interface Shortage {
  readonly bytes: number
  readonly bound: 'max_size' | 'min_free'
}

export class StorageRoom {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #measuring = new SingleFlight<'content', number>()
  readonly #making = new Semaphore(1)
  #bounds: StorageBounds
  /** Bytes of what is stored, as of the last measurement; undefined before the first one. */
  #measured: number | undefined
  /** Bytes that arrived since then: some of them were there before. */
  #arrived = 0
  /** Bytes that were let in and did not arrive yet. */
  #expected = 0
  #refused = 0
  /** Bytes that were not cached for want of room, and that none was made for yet. */
  #wanted = 0

  constructor(parts: Parts, settings: Settings, bounds: StorageBounds) {
    this.#parts = parts
    this.#settings = settings
    this.#bounds = bounds
  }

  /** Pushes that were refused since the start. */
  get refused(): number {
    return this.#refused
  }

  reload(bounds: StorageBounds): void {
    this.#bounds = bounds
    this.#measured = undefined
  }

  /**
   * The bytes of a body, as far as there is room for them.
   * @param length of the whole body, if that is known.
   * @throws OciError STORAGE_FULL, from the stream.
   */
  guard(body: AsyncIterable<Uint8Array>, length: number | undefined): AsyncIterable<Uint8Array> {
    return this.#isBounded ? this.#admit(body, length) : body
  }

  /** @throws OciError STORAGE_FULL when there is no room for so much. */
  async require(bytes: number): Promise<void> {
    if (!this.#isBounded || (await this.#shortage(bytes)) === undefined) return
    const still = await this.#makeRoom(() => bytes)
    if (still !== undefined) throw this.#refuse(still)
  }

  /** Whether content of the cache of this size may be stored; if not, the cache makes room for the next. */
  async mayCache(bytes: number): Promise<boolean> {
    if (!this.#isBounded || (await this.#shortage(bytes)) === undefined) return true
    this.#wanted += bytes
    this.#makeRoom(() => this.#takeWanted()).catch((error: unknown) => {
      this.#parts.log.error({ err: error }, 'could not make room for what is to be cached')
    })
    return false
  }

  /** @returns undefined when room was made for all of it together with others. */
  #takeWanted(): number | undefined {
    const bytes = this.#wanted
    this.#wanted = 0
    return bytes === 0 ? undefined : bytes
  }

  /**
   * For one after the other: what is short is short for all of them, and is given back once.
   * @returns what is short all the same.
   */
  async #makeRoom(take: () => number | undefined): Promise<Shortage | undefined> {
    using _turn = await this.#making.take()
    const bytes = take()
    if (bytes === undefined) return undefined
    const shortage = await this.#shortage(bytes)
    if (shortage === undefined) return undefined
    await this.#parts.evict(shortage.bytes)
    // What the cache gave back is not in the count yet.
    this.#measured = undefined
    return await this.#shortage(bytes)
  }

  get #isBounded(): boolean {
    const { maxBytes, minFreeBytes } = this.#bounds
    return maxBytes !== undefined || minFreeBytes !== undefined
  }

  async *#admit(
    body: AsyncIterable<Uint8Array>,
    length: number | undefined,
  ): AsyncGenerator<Uint8Array> {
    const stepBytes = length ?? this.#settings.stepBytes
    let admitted = 0
    try {
      if (length !== undefined && length > 0) {
        await this.require(length)
        admitted = this.#expect(length)
      }
      for await (const bytes of body) {
        if (bytes.length > admitted) {
          const step = Math.max(stepBytes, bytes.length)
          await this.require(step)
          admitted += this.#expect(step)
        }
        admitted -= bytes.length
        this.#expected -= bytes.length
        this.#arrived += bytes.length
        yield bytes
      }
    } finally {
      this.#expected -= admitted
    }
  }

  #expect(bytes: number): number {
    this.#expected += bytes
    return bytes
  }

  /** A disk or a database that cannot be asked is noticed by whoever writes to it. */
  async #shortage(bytes: number): Promise<Shortage | undefined> {
    const { maxBytes, minFreeBytes } = this.#bounds
    try {
      if (minFreeBytes !== undefined) {
        const free = (await this.#parts.blobs.freeBytes()) - this.#expected - bytes
        if (free < minFreeBytes) return { bytes: minFreeBytes - free, bound: 'min_free' }
      }
      if (maxBytes !== undefined) {
        const excess = (await this.#used(maxBytes - bytes)) + bytes - maxBytes
        if (excess > 0) return { bytes: excess, bound: 'max_size' }
      }
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      this.#parts.log.warn({ err: error }, 'could not find out how much room there is')
    }
    return undefined
  }

  /** Bytes that are taken; measured anew where the count is above `limit`. */
  async #used(limit: number): Promise<number> {
    if (this.#measured === undefined || this.#count(this.#measured) > limit) {
      this.#measured = await this.#measuring.run('content', () => this.#measure())
    }
    return this.#count(this.#measured)
  }

  #count(measured: number): number {
    return measured + this.#arrived + this.#expected
  }

  async #measure(): Promise<number> {
    const before = this.#arrived
    const measured = await this.#parts.metadata.measureContent()
    this.#arrived -= before
    return measured
  }

  #refuse({ bound }: Shortage): OciError {
    this.#refused += 1
    const what =
      bound === 'min_free'
        ? 'the registry has to leave a part of its disk free (storage.min_free)'
        : 'the registry holds as much as it may (storage.max_size)'
    return new OciError('STORAGE_FULL', {
      message: `${what}: there is no room for this push; images that are not needed have to go first`,
      detail: { bound: `storage.${bound}` },
      headers: { 'Retry-After': String(this.#settings.retryAfterSeconds) },
    })
  }
}
