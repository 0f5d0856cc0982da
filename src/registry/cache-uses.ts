/**
 * Which manifests were used, gathered in memory and noted in the database now and then: a pull does
 * not wait for a write, and a thousand pulls of one image are one. A crash forgets the last few
 * seconds, after which eviction and retention take some images to be a little older than they are.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { ManifestUse } from './ports/cache-metadata.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly metadata: Pick<MetadataStore, 'touchManifests'>
  readonly clock: Clock
  readonly log: Log
}

interface Settings {
  readonly flushSeconds: number
  /** Manifests that are gathered; then the one used longest ago makes room. */
  readonly gatheredMax: number
  /** Manifests noted in one transaction. */
  readonly perWriteMax: number
}

export class CacheUses implements AsyncDisposable {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #timer: NodeJS.Timeout
  /** By repository and digest; the one used longest ago first. */
  #gathered = new Map<string, ManifestUse>()
  /** What is being noted now. */
  #noting = new Map<string, ManifestUse>()
  #flushing: Promise<void> = Promise.resolve()

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
    this.#timer = setInterval(() => void this.flush(), settings.flushSeconds * 1000)
    this.#timer.unref()
  }

  touch(repository: RepositoryName, digest: Digest): void {
    this.#gather({ repository, digest, usedAt: this.#parts.clock.now() })
  }

  /** Takes back a use of what turned out not to be there. */
  untouch(repository: RepositoryName, digest: Digest): void {
    this.#gathered.delete(keyOf({ repository, digest }))
  }

  /** Whether a use is not noted yet. */
  has(repository: RepositoryName, digest: Digest): boolean {
    const key = keyOf({ repository, digest })
    return this.#gathered.has(key) || this.#noting.has(key)
  }

  /** Notes all that was gathered so far. Never rejects: what could not be noted is kept. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush())
    return this.#flushing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.flush()
  }

  #gather(use: ManifestUse): void {
    const key = keyOf(use)
    const known = this.#gathered.get(key)
    this.#gathered.delete(key)
    this.#gathered.set(key, known !== undefined && known.usedAt > use.usedAt ? known : use)
    const [oldest] = this.#gathered.keys()
    if (this.#gathered.size > this.#settings.gatheredMax && oldest !== undefined) {
      this.#gathered.delete(oldest)
    }
  }

  async #flush(): Promise<void> {
    const uses = [...this.#gathered.values()]
    this.#noting = this.#gathered
    this.#gathered = new Map()
    const { perWriteMax } = this.#settings
    try {
      while (uses.length > 0) {
        await this.#parts.metadata.touchManifests(uses.slice(0, perWriteMax))
        uses.splice(0, perWriteMax)
        if (uses.length > 0) await nextTurn()
      }
    } catch (error) {
      const later = [...this.#gathered.values()]
      this.#gathered = new Map()
      for (const use of [...uses, ...later]) this.#gather(use)
      this.#parts.log.warn(
        { err: error, manifests: uses.length },
        'could not note which images were used; it is tried again soon',
      )
    }
    this.#noting = new Map()
  }
}

/** No name and no digest holds a space. */
function keyOf({ repository, digest }: Pick<ManifestUse, 'repository' | 'digest'>): string {
  return `${repository} ${digest}`
}
