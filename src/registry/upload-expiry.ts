/**
 * Removes upload sessions that nobody wrote to for long, now and then, a bounded number at a time. A
 * clock that jumps says nothing of how long that was: then none is removed until the idle time has
 * passed by a clock that does not.
 */
import type { Clock } from './ports/clock.ts'
import type { Log } from './request-context.ts'
import type { Uploads } from './uploads.ts'

/** Less is what clocks are corrected by every day, and does not matter to an idle time. */
const jumpMsMin = 60_000

interface Settings {
  readonly intervalSeconds: number
  readonly perRunMax: number
}

export class UploadExpiry implements AsyncDisposable {
  readonly #uploads: Uploads
  readonly #clock: Clock
  readonly #monotonicClock: Clock
  readonly #log: Log
  readonly #perRunMax: number
  readonly #timer: NodeJS.Timeout
  #idleSeconds: number
  #running: Promise<void> = Promise.resolve()
  /** By how much the clock is ahead of the one that only goes forward, as of the last run. */
  #ahead: number
  /** When the clock was last found to have jumped, by the one that only goes forward. */
  #jumpedAt = -Infinity

  constructor(
    parts: { uploads: Uploads; clock: Clock; monotonicClock?: Clock; log: Log },
    idleSeconds: number,
    settings: Settings,
  ) {
    this.#uploads = parts.uploads
    this.#clock = parts.clock
    this.#monotonicClock = parts.monotonicClock ?? performance
    this.#ahead = this.#clock.now() - this.#monotonicClock.now()
    this.#log = parts.log
    this.#idleSeconds = idleSeconds
    this.#perRunMax = settings.perRunMax
    this.#timer = setInterval(() => {
      this.#running = this.#running.then(() => this.run())
    }, settings.intervalSeconds * 1000)
    this.#timer.unref()
  }

  setIdleSeconds(idleSeconds: number): void {
    this.#idleSeconds = idleSeconds
  }

  async run(): Promise<void> {
    if (!this.#isClockSteady()) return
    try {
      const before = this.#clock.now() - this.#idleSeconds * 1000
      const removed = await this.#uploads.expireUploads(before, this.#perRunMax)
      if (removed > 0) this.#log.info({ removed }, `removed ${removed} idle upload sessions`)
    } catch (error) {
      // The next run tries again; what is wrong with the disk shows at the readiness probe too.
      this.#log.error({ err: error }, 'could not remove idle upload sessions')
    }
  }

  #isClockSteady(): boolean {
    const monotonic = this.#monotonicClock.now()
    const ahead = this.#clock.now() - monotonic
    const jump = ahead - this.#ahead
    this.#ahead = ahead
    if (Math.abs(jump) > jumpMsMin) {
      this.#jumpedAt = monotonic
      this.#log.warn(
        { seconds: Math.round(jump / 1000) },
        'the clock jumped; no upload expires now',
      )
    }
    return monotonic - this.#jumpedAt >= this.#idleSeconds * 1000
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }
}
