/**
 * Removes upload sessions that nobody wrote to for long, now and then, a bounded number at a time. A
 * clock that jumps says nothing of how long that was: then none is removed until the idle time has
 * passed by a clock that does not.
 */
import { ClockJumps } from './clock-jumps.ts'
import type { Clock } from './ports/clock.ts'
import type { Log } from './request-context.ts'
import type { Uploads } from './uploads.ts'

interface Settings {
  readonly intervalSeconds: number
  readonly perRunMax: number
}

export class UploadExpiry implements AsyncDisposable {
  readonly #uploads: Uploads
  readonly #clock: Clock
  readonly #jumps: ClockJumps
  readonly #log: Log
  readonly #perRunMax: number
  readonly #timer: NodeJS.Timeout
  #idleSeconds: number
  #running: Promise<void> = Promise.resolve()

  constructor(
    parts: { uploads: Uploads; clock: Clock; monotonicClock?: Clock; log: Log },
    idleSeconds: number,
    settings: Settings,
  ) {
    this.#uploads = parts.uploads
    this.#clock = parts.clock
    this.#jumps = new ClockJumps(parts.clock, parts.monotonicClock)
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
    const seconds = this.#jumps.look()
    if (seconds !== undefined) {
      this.#log.warn({ seconds }, 'the clock jumped; no upload expires now')
    }
    return this.#jumps.isSteadySince(this.#idleSeconds)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }
}
