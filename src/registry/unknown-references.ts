/**
 * What upstreams said they do not have, for a short while: clients ask for signatures that nobody made
 * again and again.
 */
import { LruCache } from '../lib/lru-cache.ts'
import type { Clock } from './ports/clock.ts'

export class UnknownReferences {
  readonly #clock: Clock
  /** What was said, and when. */
  readonly #said: LruCache<string, { readonly error: unknown; readonly at: number }>

  constructor(clock: Clock, rememberedMax: number) {
    this.#clock = clock
    this.#said = new LruCache({ entriesMax: rememberedMax })
  }

  /** @throws what the upstream said, if it was less than `ttlSeconds` ago. */
  throwIfKnown(key: string, ttlSeconds: number): void {
    const known = this.#said.get(key)
    if (known === undefined) return
    const age = this.#clock.now() - known.at
    if (age >= 0 && age < ttlSeconds * 1000) throw known.error
    this.#said.delete(key)
  }

  /** From the first time on: that it was told again is no news. */
  remember(key: string, error: unknown): void {
    if (!this.#said.get(key)) this.#said.set(key, { error, at: this.#clock.now() })
  }

  clear(): void {
    this.#said.clear()
  }
}
