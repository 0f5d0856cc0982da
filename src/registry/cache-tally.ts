/**
 * How much of the disk the cache takes, and what of it is in use. Between two measurements it counts
 * rather too much: what is added may have been there already, in another cached repository.
 */
import type { Digest } from '../oci/digest.ts'
import type { BlobRecord } from './ports/records.ts'

/** What is being fetched; it ends with its disposal, whatever came of it. */
export interface Reservation extends Disposable {
  /**
   * Has the bytes recorded as part of the cache, which they are from then on.
   * @throws what `record` throws.
   */
  keep(record: () => Promise<void>): Promise<void>
}

export class CacheTally {
  #stored = 0
  /** Of what is stored, bytes that came since the last measurement. */
  #added = 0
  /** Bytes of what is being fetched. */
  #reserved = 0
  readonly #uses = new Map<Digest, number>()
  /** What is under way of it, as a measurement sees what was recorded a moment before it is counted. */
  readonly #recordings = new Set<Promise<void>>()
  #measuring: Promise<void> | undefined
  readonly #onRelease: () => void

  /** @param onRelease called when something is no longer in use. */
  constructor(onRelease: () => void) {
    this.#onRelease = onRelease
  }

  /** Bytes that are stored, or will be soon. */
  get bytes(): number {
    return this.#stored + this.#reserved
  }

  /** There are at least so many, if all that came since the measurement was there before. */
  get bytesMin(): number {
    return this.bytes - this.#added
  }

  has(digest: Digest): boolean {
    return this.#uses.has(digest)
  }

  /**
   * To be called one at a time.
   * @param measure counts exactly; what is added meanwhile is counted beside it.
   */
  async measure(measure: () => Promise<number>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#measuring = promise
    try {
      await Promise.allSettled(this.#recordings)
      const before = this.#added
      const stored = await measure()
      this.#added -= before
      this.#stored = stored + this.#added
    } finally {
      this.#measuring = undefined
      resolve()
    }
  }

  add(bytes: number): void {
    this.#stored += bytes
    this.#added += bytes
  }

  remove(bytes: number): void {
    this.#stored = Math.max(0, this.#stored - bytes)
    this.#added = Math.min(this.#added, this.#stored)
  }

  reserve({ digest, size }: BlobRecord): Reservation {
    const use = this.use(digest)
    this.#reserved += size
    let isReserved = true
    const end = (): void => {
      if (isReserved) this.#reserved -= size
      isReserved = false
    }
    return {
      keep: (record) =>
        this.#unmeasured(async () => {
          await record()
          end()
          this.add(size)
        }),
      [Symbol.dispose]: () => {
        end()
        use[Symbol.dispose]()
      },
    }
  }

  async #unmeasured(record: () => Promise<void>): Promise<void> {
    while (this.#measuring !== undefined) await this.#measuring
    const recording = record()
    this.#recordings.add(recording)
    try {
      await recording
    } finally {
      this.#recordings.delete(recording)
    }
  }

  /** Until it is disposed of, the content is in use. */
  use(digest: Digest): Disposable {
    this.#uses.set(digest, (this.#uses.get(digest) ?? 0) + 1)
    let isOpen = true
    return {
      [Symbol.dispose]: () => {
        if (!isOpen) return
        isOpen = false
        const left = (this.#uses.get(digest) ?? 0) - 1
        if (left > 0) this.#uses.set(digest, left)
        else this.#uses.delete(digest)
        this.#onRelease()
      },
    }
  }
}
