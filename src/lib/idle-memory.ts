/**
 * Gives memory back while there is nothing to do. V8 collects garbage when it needs room for more, so what a
 * start or a busy hour leaves behind would stay for as long as nobody asks for anything.
 */

interface Settings {
  readonly intervalMs: number
  /** Of the time of the event loop: beyond it the process is not idle. */
  readonly utilizationMax: number
  /** Processor time that has to be used before another collection is worth its own. */
  readonly cpuMsMin: number
}

export class IdleMemory implements Disposable {
  readonly #collect: () => void
  readonly #settings: Settings
  readonly #timer: NodeJS.Timeout
  #looked = performance.eventLoopUtilization()
  #cpuMs = 0

  /** @param collect all garbage. */
  constructor(collect: () => void, settings: Settings) {
    this.#collect = collect
    this.#settings = settings
    this.#timer = setInterval(() => this.#look(), settings.intervalMs).unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { utilizationMax, cpuMsMin } = this.#settings
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.#looked)
    this.#looked = now
    if (utilization > utilizationMax || cpuMsUsed() - this.#cpuMs < cpuMsMin) return
    this.#collect()
    this.#cpuMs = cpuMsUsed()
  }
}

function cpuMsUsed(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
