/**
 * A bound on requests per second: each takes its turn, in order, after a burst of one second's
 * worth. The number of those that wait is bounded too.
 */
import { limits } from '../config/limits.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Timer } from './timer.ts'

export class RequestTurns {
  readonly #intervalMs: number
  readonly #burstMs: number
  readonly #timer: Timer
  /** When the next turn would be if there were no bursts. */
  #nextAt = 0
  #waiting = 0

  constructor(requestsPerSecond: number, timer: Timer) {
    this.#intervalMs = 1000 / requestsPerSecond
    this.#burstMs = Math.max(0, 1000 - this.#intervalMs)
    this.#timer = timer
  }

  /** @throws UpstreamError `suspended` when too many wait already. */
  async take(host: string, signal: AbortSignal): Promise<void> {
    const now = this.#timer.now()
    const at = Math.max(now, this.#nextAt)
    const delay = at - now - this.#burstMs
    if (delay > 0 && this.#waiting >= limits.upstreamTurnsWaitingMax) {
      throw new UpstreamError(`${host} was not asked: too many requests wait for their turn`, {
        host,
        problem: 'suspended',
        retryable: true,
        retryAfterMs: delay,
      })
    }
    this.#nextAt = at + this.#intervalMs
    if (delay <= 0) return
    this.#waiting += 1
    try {
      await this.#timer.wait(delay, signal)
    } finally {
      this.#waiting -= 1
    }
  }
}
