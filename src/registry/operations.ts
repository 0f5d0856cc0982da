/**
 * Long work on the whole registry that somebody watches: what runs, how far it is, what came of it.
 * One of a kind at a time. It is made of short steps, each of which leaves everything in order, so it
 * may end after any of them: when nobody watches any more, when the program stops.
 */
import { OciError } from '../oci/errors.ts'
import { Operation, type OperationWork } from './operation.ts'
import type { Log } from './request-context.ts'

export type OperationKind = 'gc' | 'scrub' | 'rebuild' | 'backup' | 'restore'

interface Settings {
  /** Items that wait for a reader before the work does. */
  readonly itemsWaitingMax: number
  /** How often somebody who watches is told of progress, and that it still goes on. */
  readonly progressSecondsMin: number
  readonly progressSecondsMax: number
}

export class Operations {
  readonly #log: Log
  readonly #settings: Settings
  readonly #running = new Map<OperationKind, Operation>()
  #isStopping = false

  constructor(parts: { readonly log: Log }, settings: Settings) {
    this.#log = parts.log
    this.#settings = settings
  }

  /**
   * Whoever starts one reads its events to their end, or disposes of it, which ends the work.
   * @param signal ends it, too.
   * @throws OciError UNAVAILABLE with status 409 while one of the kind is running.
   */
  start(kind: OperationKind, work: OperationWork, signal?: AbortSignal): Operation {
    if (this.#isStopping) {
      throw new OciError('UNAVAILABLE', { message: 'the registry is shutting down' })
    }
    const running = this.#running.get(kind)
    if (running !== undefined) throw busy(kind, running)
    const operation = new Operation(kind, work, {
      ...this.#settings,
      log: this.#log,
      signal,
      onEnd: () => this.#running.delete(kind),
    })
    this.#running.set(kind, operation)
    return operation
  }

  /** Ends what is running after its present step; nothing can be started any more. */
  stop(): void {
    this.#isStopping = true
    for (const operation of this.#running.values()) operation.stop()
  }
}

function busy(kind: OperationKind, { startedAt, lastProgress }: Operation): OciError {
  const since = new Date(startedAt).toISOString()
  const at = lastProgress === undefined ? '' : ` and is at ${lastProgress.step}`
  return new OciError('UNAVAILABLE', {
    status: 409,
    message: `another ${kind} is running: it began at ${since}${at}; wait for its end`,
    headers: { 'Retry-After': '10' },
    detail: { operation: kind, since, ...lastProgress },
  })
}
