/**
 * The order in which an upstream is asked where it is asked for too much: so many requests a second,
 * after a burst of one second's worth, and so many blobs at a time. Who gives up waiting takes no turn
 * from the others, and does not count as failed by the upstream, which was not asked.
 */
import { limits } from '../config/limits.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Timer } from './timer.ts'

export class RequestTurns {
  readonly #host: string
  readonly #intervalMs: number
  readonly #burstMs: number
  readonly #timer: Timer
  /** The first one waits for the clock, the others for the one before them. */
  readonly #queue = new Semaphore(1)
  /** When the next turn would be if there were no bursts. */
  #nextAt = 0

  constructor(host: string, requestsPerSecond: number, timer: Timer) {
    this.#host = host
    this.#intervalMs = 1000 / requestsPerSecond
    this.#burstMs = Math.max(0, 1000 - this.#intervalMs)
    this.#timer = timer
  }

  /** @throws UpstreamError `suspended` when the turn does not come in time, or too many wait already. */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#queue.waiting >= limits.upstreamTurnsWaitingMax) throw this.#refusal()
    try {
      using _turn = await this.#queue.take(signal)
      const now = this.#timer.now()
      const at = Math.max(now, this.#nextAt)
      const delay = at - now - this.#burstMs
      if (delay > 0) await this.#timer.wait(delay, signal)
      this.#nextAt = at + this.#intervalMs
    } catch (error) {
      throw isDeadline(error) ? this.#refusal() : error
    }
  }

  #refusal(): UpstreamError {
    const retryAfterMs = this.#intervalMs * (this.#queue.waiting + 1)
    return notAskedInTime(this.#host, { setting: 'requests_per_second', retryAfterMs })
  }
}

/**
 * Blobs take long, and other requests must not wait for one of them to end: so some of the connections
 * are never taken by blobs.
 */
export class TransferTurns {
  readonly #host: string
  readonly #turns: Semaphore

  constructor(host: string, connections: number) {
    this.#host = host
    this.#turns = new Semaphore(
      Math.max(1, Math.floor(connections * limits.upstreamTransfersShare)),
    )
  }

  /** @returns what ends the turn. @throws UpstreamError `suspended` when it does not come in time. */
  async take(signal: AbortSignal): Promise<Disposable> {
    try {
      return await this.#turns.take(signal)
    } catch (error) {
      throw isDeadline(error) ? notAskedInTime(this.#host, { setting: 'max_connections' }) : error
    }
  }
}

/** Whether it is the time that ran out, rather than a client that went away. */
function isDeadline(reason: unknown): boolean {
  return reason instanceof UpstreamError && reason.problem === 'timeout'
}

function notAskedInTime(
  host: string,
  { setting, retryAfterMs }: { readonly setting: string; readonly retryAfterMs?: number },
): UpstreamError {
  const problem = `${host} was not asked: too many requests for it wait for their turn (${setting})`
  return new UpstreamError(problem, { host, problem: 'suspended', retryable: true, retryAfterMs })
}
