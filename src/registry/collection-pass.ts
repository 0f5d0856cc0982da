/**
 * One pass of garbage collection, step by step: what is told of it, and in which order things go. What
 * an earlier step lets go of, a later one finds.
 */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import type { CollectorBounds, CollectorParts, CollectorSettings } from './collector.ts'
import type { OperationMonitor } from './operation.ts'
import type { Scan, Scanned } from './ports/collection-metadata.ts'
import type { BlobRecord } from './ports/records.ts'

export interface CollectionReport {
  readonly dryRun: boolean
  /** Idle upload sessions that were removed. */
  readonly uploads: number
  /** Blobs that were taken from a repository none of whose manifests needs them. */
  readonly unneeded: number
  /** Content whose bytes were removed: no repository has it. */
  readonly blobs: number
  readonly bytes: number
  /** Nothing was judged by its age: the clock was set not long ago. */
  readonly clockJumped?: true
}

interface PassOptions extends CollectorSettings {
  readonly dryRun: boolean
  readonly isClockSteady: boolean
  readonly monitor: OperationMonitor
}

export class CollectionPass {
  readonly #parts: CollectorParts
  readonly #bounds: CollectorBounds
  readonly #options: PassOptions
  readonly #counts = { uploads: 0, unneeded: 0, blobs: 0, bytes: 0 }

  constructor(parts: CollectorParts, bounds: CollectorBounds, options: PassOptions) {
    this.#parts = parts
    this.#bounds = bounds
    this.#options = options
  }

  /** @throws whatever a step throws; what was done until then is done. */
  async run(): Promise<CollectionReport> {
    const { dryRun, isClockSteady } = this.#options
    if (isClockSteady) {
      await this.#expireUploads()
      await this.#unlinkUnneeded()
    }
    await this.#removeNobodys()
    return { dryRun, ...this.#counts, ...(!isClockSteady && { clockJumped: true }) }
  }

  async #expireUploads(): Promise<void> {
    const { uploadIdleSeconds, dryRun } = this.#options
    if (dryRun) return
    const { uploads, clock } = this.#parts
    const before = clock.now() - uploadIdleSeconds * 1000
    for (;;) {
      const removed = await this.#step(() =>
        uploads.expireUploads(before, this.#bounds.perWriteMax),
      )
      this.#counts.uploads += removed
      if (removed === 0) return
    }
  }

  async #unlinkUnneeded(): Promise<void> {
    const { metadata, promises } = this.#parts
    await this.#scan(
      'blobs of repositories',
      (scan) => metadata.scanUnneededBlobs(promises.expiredBefore, scan),
      async (unneeded) => {
        this.#counts.unneeded += this.#options.dryRun
          ? unneeded.length
          : await metadata.unlinkUnneededBlobs(unneeded, promises.expiredBefore)
      },
    )
  }

  async #removeNobodys(): Promise<void> {
    const { metadata } = this.#parts
    if (!this.#options.dryRun) await this.#step(() => this.#resumeRemovals())
    await this.#scan(
      'blobs',
      (scan) => metadata.scanNobodys(scan),
      (nobodys) => this.#remove(nobodys),
    )
  }

  /** What could not be removed before. */
  async #resumeRemovals(): Promise<void> {
    await this.#counting(() => this.#parts.removal.resume(this.#bounds.rowsPerStep))
  }

  async #remove(nobodys: readonly BlobRecord[]): Promise<void> {
    if (this.#options.dryRun) {
      this.#counts.blobs += nobodys.length
      this.#counts.bytes += nobodys.reduce((total, { size }) => total + size, 0)
      return
    }
    await this.#counting(() => this.#parts.removal.removeContent(nobodys))
  }

  async #counting(remove: () => Promise<unknown>): Promise<void> {
    const { removal } = this.#parts
    const before = removal.totals
    try {
      await remove()
    } finally {
      this.#counts.blobs += removal.totals.blobs - before.blobs
      this.#counts.bytes += removal.totals.bytes - before.bytes
    }
  }

  /** Goes through a table part by part. What is found is dealt with a bounded number at a time. */
  async #scan<T>(
    step: string,
    look: (scan: Scan) => Promise<Scanned<T>>,
    act: (found: readonly T[]) => Promise<void>,
  ): Promise<void> {
    const { rowsPerStep, perWriteMax } = this.#bounds
    let done = 0
    let after: string | undefined
    do {
      const scan = { rows: rowsPerStep, ...(after !== undefined && { after }) }
      const { found, next } = await this.#step(() => look(scan))
      for (let start = 0; start < found.length; start += perWriteMax) {
        await this.#step(() => act(found.slice(start, start + perWriteMax)))
      }
      done += next === undefined ? 0 : rowsPerStep
      this.#options.monitor.progress({ step, done })
      after = next
    } while (after !== undefined)
  }

  /** Others have their turn after each step. @throws when the pass was ended. */
  async #step<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#options.monitor
    signal.throwIfAborted()
    const started = performance.now()
    const result = await work()
    const pause = (performance.now() - started) * this.#bounds.pauseShare
    await (pause > 0 ? delay(pause) : nextTurn())
    return result
  }
}
