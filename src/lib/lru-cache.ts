/**
 * A bounded map that drops the least recently used entry first. Invariant: after every call there
 * are at most `entriesMax` entries, which weigh at most `weightMax` together.
 */

export interface LruCacheOptions<V> {
  entriesMax: number
  /** Bound on the sum of what `weigh` answers, bytes usually. */
  weightMax?: number
  /** Asked once per value, when it is set; a value must not change its weight in the cache. */
  weigh?: (value: V) => number
  /** Told of every entry that leaves, except by `clear`. */
  onDrop?: (value: V) => void
}

interface Entry<V> {
  readonly value: V
  readonly weight: number
}

export class LruCache<K, V> {
  readonly #entriesMax: number
  readonly #weightMax: number
  readonly #weigh: (value: V) => number
  readonly #onDrop: (value: V) => void
  /** A Map keeps the order of insertion, so the first entry is the least recently used one. */
  readonly #entries = new Map<K, Entry<V>>()
  #weight = 0

  constructor(options: LruCacheOptions<V>) {
    this.#entriesMax = options.entriesMax
    this.#weightMax = options.weightMax ?? Number.POSITIVE_INFINITY
    this.#weigh = options.weigh ?? (() => 0)
    this.#onDrop = options.onDrop ?? (() => undefined)
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** A value heavier than the whole cache is not kept, rather than emptying it for nothing. */
  set(key: K, value: V): void {
    this.delete(key)
    const weight = this.#weigh(value)
    if (weight > this.#weightMax) return
    this.#entries.set(key, { value, weight })
    this.#weight += weight
    while (this.#entries.size > this.#entriesMax || this.#weight > this.#weightMax) {
      this.#dropOldest()
    }
  }

  delete(key: K): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    this.#entries.delete(key)
    this.#weight -= entry.weight
    this.#onDrop(entry.value)
    return true
  }

  clear(): void {
    this.#entries.clear()
    this.#weight = 0
  }

  #dropOldest(): void {
    for (const key of this.#entries.keys()) {
      this.delete(key)
      return
    }
  }
}
