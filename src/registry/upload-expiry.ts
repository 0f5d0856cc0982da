/** Removes upload sessions that nobody wrote to for long, now and then, a bounded number at a time. */
import type { Clock } from './ports.ts'
import type { Log } from './request-context.ts'
import type { Uploads } from './uploads.ts'

interface Settings {
  readonly intervalSeconds: number
  readonly perRunMax: number
}

export class UploadExpiry implements AsyncDisposable {
  readonly #uploads: Uploads
  readonly #clock: Clock
  readonly #log: Log
  readonly #perRunMax: number
  readonly #timer: NodeJS.Timeout
  #idleSeconds: number
  #running: Promise<void> = Promise.resolve()

  constructor(
    parts: { uploads: Uploads; clock: Clock; log: Log },
    idleSeconds: number,
    settings: Settings,
  ) {
    this.#uploads = parts.uploads
    this.#clock = parts.clock
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
    try {
      const before = this.#clock.now() - this.#idleSeconds * 1000
      const removed = await this.#uploads.expireUploads(before, this.#perRunMax)
      if (removed > 0) this.#log.info({ removed }, `removed ${removed} idle upload sessions`)
    } catch (error) {
      // The next run tries again; what is wrong with the disk shows at the readiness probe too.
      this.#log.error({ err: error }, 'could not remove idle upload sessions')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }
}
