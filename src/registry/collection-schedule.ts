/**
 * Begins a pass of garbage collection now and then. One that was asked for by hand counts as well: two
 * never run at a time, and the next one comes an interval after the last one's end.
 */
import type { Collector } from './collector.ts'
import type { Operations } from './operations.ts'
import { OciError } from '../oci/errors.ts'

interface Parts {
  readonly operations: Operations
  readonly collector: Collector
}

export interface CollectionTimes {
  readonly isEnabled: boolean
  readonly intervalSeconds: number
}

export class CollectionSchedule implements AsyncDisposable {
  readonly #parts: Parts
  #times: CollectionTimes
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #isStopping = false

  constructor(parts: Parts, times: CollectionTimes) {
    this.#parts = parts
    this.#times = times
    this.#plan()
  }

  reload(times: CollectionTimes): void {
    const { isEnabled, intervalSeconds } = this.#times
    if (times.isEnabled === isEnabled && times.intervalSeconds === intervalSeconds) return
    this.#times = times
    this.#plan()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    await this.#running
  }

  #plan(): void {
    clearTimeout(this.#timer)
    if (this.#isStopping || !this.#times.isEnabled) return
    this.#timer = setTimeout(() => {
      this.#running = this.#collect().then(() => this.#plan())
    }, this.#times.intervalSeconds * 1000)
    this.#timer.unref()
  }

  /** Never rejects: what a pass fails with, its operation has logged. */
  async #collect(): Promise<void> {
    const { operations, collector } = this.#parts
    try {
      await using operation = operations.start('gc', (monitor) =>
        collector.collect({ dryRun: false }, monitor),
      )
      await operation.ended
    } catch (error) {
      // One that was asked for by hand is running, or the program stops.
      if (!(error instanceof OciError)) throw error
    }
  }
}
