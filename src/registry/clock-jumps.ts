/**
 * Notices that the clock was set: then the time since something happened says nothing of how long ago
 * that was, until so much time has passed by a clock that only goes forward.
 */
import type { Clock } from './ports/clock.ts'

/** Less is what clocks are corrected by every day. */
const jumpMsMin = 60_000

export class ClockJumps {
  readonly #clock: Clock
  readonly #monotonicClock: Clock
  /** By how much the clock is ahead of the one that only goes forward, as it was last seen. */
  #ahead: number
  /** When it was last found to have jumped, by the one that only goes forward. */
  #jumpedAt = -Infinity

  constructor(clock: Clock, monotonicClock: Clock = performance) {
    this.#clock = clock
    this.#monotonicClock = monotonicClock
    this.#ahead = clock.now() - monotonicClock.now()
  }

  /** Looks at the clock. @returns by how many seconds it jumped since it was last looked at. */
  look(): number | undefined {
    const monotonic = this.#monotonicClock.now()
    const ahead = this.#clock.now() - monotonic
    const jump = ahead - this.#ahead
    this.#ahead = ahead
    if (Math.abs(jump) <= jumpMsMin) return undefined
    this.#jumpedAt = monotonic
    return Math.round(jump / 1000)
  }

  /** Whether it did not jump for so long, as far as it was looked at. */
  isSteadySince(seconds: number): boolean {
    return this.#monotonicClock.now() - this.#jumpedAt >= seconds * 1000
  }
}
