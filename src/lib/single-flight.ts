/**
 * Runs one piece of work per key at a time: callers that come while it runs share its outcome, good
 * or bad. Nothing is remembered after it ends.
 */
export class SingleFlight<K, V> {
  readonly #running = new Map<K, Promise<V>>()

  /** Keys whose work is under way. */
  get size(): number {
    return this.#running.size
  }

  has(key: K): boolean {
    return this.#running.has(key)
  }

  run(key: K, work: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key)
    if (running !== undefined) return running
    // `Promise.try` turns a throw before the first await into a rejection that all share.
    const started = Promise.try(work).finally(() => this.#running.delete(key))
    this.#running.set(key, started)
    return started
  }
}
