/**
 * A bound on how much is done at the same time: what comes beyond it waits, first come, first served.
 * Invariant: who gives up waiting takes no turn.
 */
export class Semaphore {
  readonly #turnsMax: number
  #taken = 0
  /** Each begins the turn of one that waits, in the order they came. */
  readonly #waiting = new Set<() => void>()

  constructor(turnsMax: number) {
    this.#turnsMax = turnsMax
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** @returns a turn, which ends when it is disposed of. @throws the reason of `signal`, if there is one. */
  async take(signal?: AbortSignal): Promise<Disposable> {
    signal?.throwIfAborted()
    if (this.#taken < this.#turnsMax) this.#taken += 1
    else await this.#wait(signal)
    let isOver = false
    return {
      [Symbol.dispose]: () => {
        if (!isOver) this.#end()
        isOver = true
      },
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = (): void => {
      this.#waiting.delete(resolve)
      reject(signal?.reason)
    }
    this.#waiting.add(resolve)
    signal?.addEventListener('abort', onAbort)
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** A turn that ends is the next one's. */
  #end(): void {
    const [begin] = this.#waiting
    if (begin === undefined) {
      this.#taken -= 1
      return
    }
    this.#waiting.delete(begin)
    begin()
  }
}
