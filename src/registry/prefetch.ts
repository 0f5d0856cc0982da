/**
 * Blobs that nobody has asked for yet, fetched in the background because a manifest names them: a few
 * at a time, first come, first served. Nobody waits for that and nothing fails with it; what the queue
 * has no room for is left to whoever asks for it.
 */
import type { Log } from './request-context.ts'

export interface PrefetchSettings {
  /** Transfers at a time, of all images together. */
  readonly transfersMax: number
  /** Blobs that wait for their turn. */
  readonly waitingMax: number
}

/** Resolves when the blob is here, or its transfer is over in another way. */
type Fetch = () => Promise<void>

export class Prefetch implements Disposable {
  readonly #log: Log
  readonly #settings: PrefetchSettings
  /** By what they are called in the log; each once, in the order they came. */
  readonly #waiting = new Map<string, Fetch>()
  #running = 0
  #isStopped = false

  constructor(parts: { readonly log: Log }, settings: PrefetchSettings) {
    this.#log = parts.log
    this.#settings = settings
  }

  /** @param blob its repository and digest. */
  add(blob: string, fetch: Fetch): void {
    if (this.#isStopped || this.#waiting.has(blob)) return
    if (this.#waiting.size >= this.#settings.waitingMax) {
      this.#log.debug({ blob }, 'not fetched ahead: too many blobs wait for that')
      return
    }
    this.#waiting.set(blob, fetch)
    this.#start()
  }

  /** Forgets what waits; what is under way goes on. */
  clear(): void {
    this.#waiting.clear()
  }

  /** Nothing is begun any more; what is under way is the fills' to end. */
  [Symbol.dispose](): void {
    this.#isStopped = true
    this.clear()
  }

  #start(): void {
    for (const [blob, fetch] of this.#waiting) {
      if (this.#running >= this.#settings.transfersMax) return
      this.#waiting.delete(blob)
      void this.#run(blob, fetch)
    }
  }

  /** Never rejects. */
  async #run(blob: string, fetch: Fetch): Promise<void> {
    this.#running += 1
    try {
      await fetch()
    } catch (error) {
      this.#log.debug({ err: error, blob }, 'not fetched ahead')
    }
    this.#running -= 1
    this.#start()
  }
}
