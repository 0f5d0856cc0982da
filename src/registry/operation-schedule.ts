/**
 * Begins an operation now and then. One that was asked for by hand counts as well: two of a kind never
 * run at a time, and the next one comes an interval after the last one's end.
 */
import { OciError } from '../oci/errors.ts'
import type { OperationWork } from './operation.ts'
import type { OperationKind, Operations } from './operations.ts'

interface Parts {
  readonly operations: Operations
  readonly kind: OperationKind
  readonly work: OperationWork
}

export interface ScheduleTimes {
  readonly isEnabled: boolean
  readonly intervalSeconds: number
}

export class OperationSchedule implements AsyncDisposable {
  readonly #parts: Parts
  #times: ScheduleTimes
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #isStopping = false

  constructor(parts: Parts, times: ScheduleTimes) {
    this.#parts = parts
    this.#times = times
    this.#plan()
  }

  reload(times: ScheduleTimes): void {
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
      this.#running = this.#begin().then(() => this.#plan())
    }, this.#times.intervalSeconds * 1000)
    this.#timer.unref()
  }

  /** Never rejects: what it fails with, the operation has logged. */
  async #begin(): Promise<void> {
    const { operations, kind, work } = this.#parts
    try {
      await using operation = operations.start(kind, work)
      // What it tells is in the log; it waits for whoever takes it.
      for await (const _event of operation.events());
    } catch (error) {
      // One that was asked for by hand is running, or the program stops.
      if (!(error instanceof OciError)) throw error
    }
  }
}
