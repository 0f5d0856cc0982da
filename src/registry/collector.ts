/**
 * Garbage collection of a registry that goes on serving: no lock, no marking, no pause. Each step
 * looks at a part of a table and forgets, in one short transaction, what it can prove in there that
 * nobody needs; what a crash leaves undone, the next pass does. Invariants: the row goes first and the
 * bytes after; nothing goes that a manifest, a grace period or a writer under way still holds.
 */
import type { TagPolicy } from '../config/tag-policy.ts'
import { OciError } from '../oci/errors.ts'
import type { BlobPromises } from './blob-promises.ts'
import type { CacheUses } from './cache-uses.ts'
import { ClockJumps } from './clock-jumps.ts'
import { CollectionPass, type CollectionReport } from './collection-pass.ts'
import type { KnownDamage } from './known-damage.ts'
import type { Manifests } from './manifests.ts'
import type { OperationMonitor } from './operation.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { ContentRemoval } from './remove-content.ts'
import type { Log } from './request-context.ts'
import type { Uploads } from './uploads.ts'

export interface CollectorParts {
  readonly metadata: MetadataStore
  readonly removal: ContentRemoval
  readonly uploads: Pick<Uploads, 'expireUploads'>
  readonly promises: Pick<BlobPromises, 'expiredBefore'>
  readonly uses: Pick<CacheUses, 'flush' | 'has'>
  readonly manifests: Pick<Manifests, 'forget'>
  readonly damage: Pick<KnownDamage, 'database'>
  readonly clock: Clock
  readonly monotonicClock?: Clock
  readonly log: Log
}

/** Bounds of one step. */
export interface CollectorBounds {
  readonly rowsPerStep: number
  readonly perWriteMax: number
  /** Of a repository, that are judged together. */
  readonly tagsMax: number
  /** A step is followed by a pause that is as many times as long; 0 where nobody else is served. */
  readonly pauseShare: number
}

/** What is configured. */
export interface CollectorSettings {
  readonly graceSeconds: number
  readonly uploadIdleSeconds: number
  /** Absent when manifests that nothing holds are kept. */
  readonly untaggedSeconds?: number
  readonly tagPolicy: TagPolicy
}

/** Since the start, but for dry runs. */
export interface CollectionTotals {
  readonly passes: number
  readonly failures: number
  readonly blobs: number
  readonly bytes: number
  /** Of the last one, in milliseconds since 1970. */
  readonly endedAt?: number
  readonly seconds?: number
}

export class Collector {
  readonly #parts: CollectorParts
  readonly #bounds: CollectorBounds
  readonly #jumps: ClockJumps
  #settings: CollectorSettings
  #passes: Pick<CollectionTotals, 'passes' | 'failures' | 'endedAt' | 'seconds'> = {
    passes: 0,
    failures: 0,
  }

  constructor(parts: CollectorParts, bounds: CollectorBounds, settings: CollectorSettings) {
    this.#parts = parts
    this.#bounds = bounds
    this.#settings = settings
    this.#jumps = new ClockJumps(parts.clock, parts.monotonicClock)
  }

  get totals(): CollectionTotals {
    return { ...this.#passes, ...this.#parts.removal.totals }
  }

  reload(settings: CollectorSettings): void {
    this.#settings = settings
  }

  /**
   * @param options.dryRun changes nothing, and tells what would be deleted.
   * @throws OciError UNAVAILABLE when the database is known to be damaged: what it does not say may be needed.
   */
  async collect(
    options: { readonly dryRun: boolean },
    monitor: OperationMonitor,
  ): Promise<CollectionReport> {
    const started = performance.now()
    const pass = new CollectionPass(this.#parts, this.#bounds, {
      ...options,
      ...this.#settings,
      isClockSteady: this.#isClockSteady(),
      monitor,
    })
    let isDone = false
    try {
      this.#requireSoundDatabase()
      const report = await pass.run()
      isDone = true
      return report
    } finally {
      const seconds = (performance.now() - started) / 1000
      if (!options.dryRun && !monitor.signal.aborted) this.#count(isDone, seconds)
    }
  }

  #requireSoundDatabase(): void {
    const { database } = this.#parts.damage
    if (database === undefined) return
    throw new OciError('UNAVAILABLE', { message: `nothing is collected: ${database}` })
  }

  #count(isDone: boolean, seconds: number): void {
    const { passes, failures } = this.#passes
    this.#passes = {
      passes: passes + (isDone ? 1 : 0),
      failures: failures + (isDone ? 0 : 1),
      endedAt: this.#parts.clock.now(),
      seconds,
    }
  }

  /** What is old by a clock that was just set may be of a push under way. */
  #isClockSteady(): boolean {
    const seconds = this.#jumps.look()
    if (seconds !== undefined) {
      this.#parts.log.warn({ seconds }, 'the clock jumped; nothing counts as old for the grace now')
    }
    return this.#jumps.isSteadySince(this.#settings.graceSeconds)
  }
}
