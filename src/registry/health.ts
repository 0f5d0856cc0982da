/**
 * Whether the registry can do its work: read and write its bytes and its database. Probes come often
 * and from many sides, so checks are shared and an answer holds for a moment.
 */
import { SingleFlight } from '../lib/single-flight.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'

interface Stores {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly clock: Clock
}

export class Health {
  readonly #stores: Stores
  readonly #holdsMs: number
  readonly #checks = new SingleFlight<'check', string | undefined>()
  #last: { at: number; problem: string | undefined } | undefined
  #stopping = false

  constructor(stores: Stores, settings: { holdsSeconds: number }) {
    this.#stores = stores
    this.#holdsMs = settings.holdsSeconds * 1000
  }

  /** From now on the registry is not ready: it is shutting down. */
  stop(): void {
    this.#stopping = true
  }

  /** @returns what is wrong, for the operator; undefined when the registry is ready. */
  async findProblem(): Promise<string | undefined> {
    if (this.#stopping) return 'shutting down'
    const age = this.#last === undefined ? Infinity : this.#stores.clock.now() - this.#last.at
    if (this.#last !== undefined && age >= 0 && age < this.#holdsMs) return this.#last.problem
    return this.#checks.run('check', async () => {
      const problem = await this.#check()
      this.#last = { at: this.#stores.clock.now(), problem }
      return problem
    })
  }

  async #check(): Promise<string | undefined> {
    const [store, database] = await Promise.allSettled([
      this.#stores.blobs.check(),
      this.#stores.metadata.check(),
    ])
    const problems = [
      ...(store.status === 'rejected' ? [`storage: ${messageOf(store.reason)}`] : []),
      ...(database.status === 'rejected' ? [`database: ${messageOf(database.reason)}`] : []),
    ]
    return problems.length === 0 ? undefined : problems.join('; ')
  }
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : 'unknown error'
}
