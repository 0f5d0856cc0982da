/**
 * Keeps cached content within a size: when it comes to the high watermark, what was not used for
 * longest goes until the low one is reached. Invariants: what was pushed, what is being fetched and
 * what is being read stays; no client waits for an eviction; an eviction that fails harms nothing.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Digest } from '../oci/digest.ts'
import type { CacheUses } from './cache-uses.ts'
import { CacheTally, type Reservation } from './cache-tally.ts'
import type { KnownDamage } from './known-damage.ts'
import type { Manifests } from './manifests.ts'
import type { Evictable } from './ports/cache-metadata.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import type { ContentRemoval } from './remove-content.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly metadata: Pick<MetadataStore, 'measureCache' | 'listEvictable' | 'evict'>
  readonly removal: Pick<ContentRemoval, 'removeContent' | 'waitingBytes'>
  readonly uses: Pick<CacheUses, 'flush'>
  readonly manifests: Pick<Manifests, 'forget'>
  readonly damage: Pick<KnownDamage, 'database'>
  readonly clock: Clock
  readonly log: Log
}

interface Settings {
  /** Of the size that is allowed: above this share eviction begins, below that it ends. */
  readonly highWatermark: number
  readonly lowWatermark: number
  /** Manifests and blobs that are evicted at once, before others have their turn. */
  readonly perStepMax: number
  /** After a failure nothing is evicted for so long. */
  readonly retrySeconds: number
  /** For so long a measurement holds: pushed content that is deleted may be cached, too. */
  readonly measurementHoldsSeconds: number
}

/** What fetching and reading tell of the disk that they take. */
export interface CacheRoom {
  /** @returns undefined for what is larger than the whole cache may be: it is not to be stored. */
  reserve(blob: BlobRecord): Reservation | undefined | Promise<Reservation | undefined>
  /** Until it is disposed of, the content stays. */
  use(digest: Digest): Disposable
  /** Says that cached content was stored. */
  add(bytes: number): void
}

/** Since the start. */
export interface EvictionTotals {
  readonly manifests: number
  readonly bytes: number
}

export class Eviction implements CacheRoom, AsyncDisposable {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #tally = new CacheTally(() => this.#check('release'))
  #totals: EvictionTotals = { manifests: 0, bytes: 0 }
  #maxBytes: number | undefined
  /** When the tally last got something to count from, in milliseconds since 1970. */
  #measuredAt = Number.NEGATIVE_INFINITY
  /** The last pass ended above the low watermark: all that was left was in use. */
  #isShort = false
  #pass: Promise<void> | undefined
  /** Something happened while a pass was running that asks for another one. */
  #again = false
  #failedAt = Number.NEGATIVE_INFINITY
  #isStopping = false

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
  }

  get maxBytes(): number | undefined {
    return this.#maxBytes
  }

  get totals(): EvictionTotals {
    return this.#totals
  }

  /** @param maxBytes undefined for no bound. */
  setMaxBytes(maxBytes: number | undefined): void {
    if (maxBytes === this.#maxBytes) return
    this.#maxBytes = maxBytes
    this.#measuredAt = Number.NEGATIVE_INFINITY
    this.#check('write')
  }

  reserve(blob: BlobRecord): Reservation | undefined {
    if (blob.size > this.#freeBytes) return undefined
    const reservation = this.#tally.reserve(blob)
    this.#check('write')
    return reservation
  }

  /** As far as it is known: all that may be cached can be evicted, unless nothing is. */
  get #freeBytes(): number {
    if (this.#maxBytes === undefined) return Number.POSITIVE_INFINITY
    return this.#isDatabaseDamaged ? this.#maxBytes - this.#tally.bytes : this.#maxBytes
  }

  /** Then nothing is evicted: somebody may need what it does not say so of. */
  get #isDatabaseDamaged(): boolean {
    return this.#parts.damage.database !== undefined
  }

  use(digest: Digest): Disposable {
    return this.#tally.use(digest)
  }

  add(bytes: number): void {
    this.#tally.add(bytes)
    this.#check('write')
  }

  /**
   * Evicts so much, whatever the cache may have. Never rejects.
   * @returns the bytes that were freed.
   */
  async makeRoom(bytes: number): Promise<number> {
    await this.settled()
    const before = this.#totals.bytes
    const ended = this.#evictBytes(bytes).finally(() => {
      this.#pass = undefined
    })
    this.#pass = ended
    await ended
    return this.#totals.bytes - before
  }

  /** Resolves when nothing is being evicted, or will be before something else happens. */
  async settled(): Promise<void> {
    while (this.#pass !== undefined) await this.#pass
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    await this.settled()
  }

  /** Begins a pass where one is needed. Never throws, and waits for nothing. */
  #check(cause: 'write' | 'release'): void {
    if (!this.#isNeeded(cause)) return
    if (this.#pass === undefined) this.#pass = this.#run()
    else this.#again = true
  }

  #isNeeded(cause: 'write' | 'release'): boolean {
    if (this.#maxBytes === undefined || this.#isStopping || this.#isPausing()) return false
    if (!this.#isMeasured()) return true
    if (this.#isDatabaseDamaged) return false
    const { bytes } = this.#tally
    if (bytes > this.#highBytes) return true
    return cause === 'write' && this.#isShort && bytes > this.#lowBytes
  }

  #isPausing(): boolean {
    return this.#isWithin(this.#settings.retrySeconds, this.#failedAt)
  }

  #isMeasured(): boolean {
    return this.#isWithin(this.#settings.measurementHoldsSeconds, this.#measuredAt)
  }

  #isWithin(seconds: number, since: number): boolean {
    const age = this.#parts.clock.now() - since
    return age >= 0 && age < seconds * 1000
  }

  get #highBytes(): number {
    return (this.#maxBytes ?? Number.POSITIVE_INFINITY) * this.#settings.highWatermark
  }

  get #lowBytes(): number {
    return (this.#maxBytes ?? Number.POSITIVE_INFINITY) * this.#settings.lowWatermark
  }

  async #run(): Promise<void> {
    try {
      await this.#evictToLow()
    } catch (error) {
      this.#failedAt = this.#parts.clock.now()
      this.#measuredAt = Number.NEGATIVE_INFINITY
      this.#parts.log.error(
        { err: error },
        'cached content could not be evicted, so the cache may grow beyond registry_proxies.max_size; ' +
          'see to the disk and the data directory: it is tried again when something is pulled',
      )
    }
    this.#pass = undefined
    if (!this.#again) return
    this.#again = false
    this.#check('write')
  }

  async #evictBytes(bytes: number): Promise<void> {
    const before = this.#totals
    let after: Evictable | undefined
    let blobs = 0
    try {
      for (;;) {
        const left = bytes - (this.#totals.bytes - before.bytes)
        if (left <= 0 || this.#isStopping) break
        const step = await this.#evictSome(left, after)
        if (step === undefined) break
        after = step.last
        blobs += step.blobs
        await nextTurn()
      }
    } catch (error) {
      this.#parts.log.error({ err: error }, 'cached content could not be evicted to make room')
    }
    if (this.#maxBytes !== undefined || this.#totals.bytes > before.bytes) {
      this.#report(before, blobs)
    }
  }

  async #evictToLow(): Promise<void> {
    const before = this.#totals
    if (!this.#isDatabaseDamaged) {
      this.#countRemoved(await this.#parts.removal.removeContent([]))
    }
    // Nothing goes for a count that may be too high.
    if (!this.#isMeasured() || this.#tally.bytesMin <= this.#highBytes) await this.#measure()
    if (!this.#isNeeded('write')) return
    let after: Evictable | undefined
    let blobs = 0
    for (;;) {
      const excess = await this.#excess()
      if (excess <= 0 || this.#isStopping) break
      const step = await this.#evictSome(excess, after)
      if (step === undefined) break
      after = step.last
      blobs += step.blobs
      await nextTurn()
    }
    this.#report(before, blobs)
  }

  /** Bytes above the low watermark; measured where that is not certain. */
  async #excess(): Promise<number> {
    const certain = this.#tally.bytesMin - this.#lowBytes
    if (certain > 0 || this.#tally.bytes <= this.#lowBytes) return certain
    await this.#measure()
    return this.#tally.bytes - this.#lowBytes
  }

  async #measure(): Promise<void> {
    const { metadata, removal } = this.#parts
    await this.#tally.measure(async () => (await metadata.measureCache()) + removal.waitingBytes)
    this.#measuredAt = this.#parts.clock.now()
  }

  /** @returns undefined when there is nothing left that could be evicted. */
  async #evictSome(
    bytes: number,
    after: Evictable | undefined,
  ): Promise<{ last: Evictable | undefined; blobs: number } | undefined> {
    const { metadata, removal, uses, manifests } = this.#parts
    if (this.#isDatabaseDamaged) return undefined
    await uses.flush()
    const page = { limit: this.#settings.perStepMax, ...(after && { after }) }
    const entries = await metadata.listEvictable(page)
    if (entries.length === 0) return undefined
    try {
      const { taken, evicted, nobodys } = await metadata.evict(entries, {
        bytes,
        inUse: this.#tally,
      })
      const images = evicted.filter((entry) => entry.kind === 'manifest').length
      this.#totals = { ...this.#totals, manifests: this.#totals.manifests + images }
      this.#countRemoved(await removal.removeContent(nobodys))
      return { last: entries[taken - 1], blobs: evicted.length - images }
    } finally {
      // A write that failed may have been done all the same.
      for (const repository of new Set(entries.map((entry) => entry.repository))) {
        manifests.forget(repository)
      }
    }
  }

  #countRemoved(bytes: number): void {
    this.#tally.remove(bytes)
    this.#totals = { ...this.#totals, bytes: this.#totals.bytes + bytes }
  }

  #report(before: EvictionTotals, blobs: number): void {
    const maxBytes = this.#maxBytes ?? Number.POSITIVE_INFINITY
    const { bytes } = this.#tally
    const manifests = this.#totals.manifests - before.manifests
    const evictedBytes = this.#totals.bytes - before.bytes
    const { log } = this.#parts
    if (manifests + blobs > 0 || evictedBytes > 0) {
      const fields = { manifests, blobs, evictedBytes, cacheBytes: bytes, maxBytes }
      log.info(fields, 'cached content was evicted that was not used for longest')
    }
    const wasShort = this.#isShort
    this.#isShort = bytes > this.#lowBytes && !this.#isStopping
    if (this.#isShort && !wasShort && bytes > maxBytes) {
      log.warn(
        { cacheBytes: bytes, maxBytes },
        'what is being pulled now is larger than registry_proxies.max_size; ' +
          'it is evicted when it is no longer in use',
      )
    }
  }
}
