/**
 * One operation from its start to its end, as a stream of events: a first one that names it, progress
 * of which only the newest counts, items that are all told, and a last one with the report or the
 * error. Without that last one the stream broke off.
 */
import { StartError } from '../lib/start-error.ts'
import { OciError } from '../oci/errors.ts'
import type { Log } from './request-context.ts'

export interface OperationProgress {
  /** What it does now: `blobs`. */
  readonly step: string
  readonly done: number
  /** Absent while it is not known. */
  readonly total?: number
}

/** What the work is told with, and what it tells. */
export interface OperationMonitor {
  /** Looked at between two steps. */
  readonly signal: AbortSignal
  readonly progress: (progress: OperationProgress) => void
  /** Something that is worth a line. Resolves when there is room for the next one. */
  readonly tell: (item: object) => Promise<void>
}

/** @returns the report. */
export type OperationWork = (monitor: OperationMonitor) => Promise<object>

export type OperationEvent =
  | { readonly operation: string }
  | { readonly progress: OperationProgress }
  | { readonly item: object }
  | { readonly report: object }
  | { readonly error: OperationFailure }

interface OperationFailure {
  /** Absent where no client is told. */
  readonly code?: string
  readonly message: string
}

interface Options {
  readonly log: Log
  readonly itemsWaitingMax: number
  readonly progressSecondsMin: number
  readonly progressSecondsMax: number
  readonly signal: AbortSignal | undefined
  readonly onEnd: () => void
}

export class Operation implements AsyncDisposable {
  readonly startedAt = Date.now()
  readonly #kind: string
  readonly #options: Options
  readonly #abort = new AbortController()
  readonly #signal: AbortSignal
  readonly #ended: Promise<void>
  readonly #items: object[] = []
  #progress: OperationProgress | undefined
  #isProgressNew = false
  #last: OperationEvent | undefined
  /** Resolved when there is something to tell, and when there is room for more. */
  #news = Promise.withResolvers<void>()
  #room = Promise.withResolvers<void>()

  constructor(kind: string, work: OperationWork, options: Options) {
    this.#kind = kind
    this.#options = options
    const own = this.#abort.signal
    this.#signal = options.signal === undefined ? own : AbortSignal.any([options.signal, own])
    this.#signal.addEventListener('abort', () => this.#makeRoom())
    this.#ended = this.#run(work)
  }

  /** Resolves when it is over, whatever came of it. */
  get ended(): Promise<void> {
    return this.#ended
  }

  get lastProgress(): OperationProgress | undefined {
    return this.#progress
  }

  stop(): void {
    this.#abort.abort(new OciError('UNAVAILABLE', { message: 'it was ended before it was done' }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop()
    await this.#ended
  }

  /** To be read once. */
  async *events(): AsyncGenerator<OperationEvent> {
    yield { operation: this.#kind }
    const { progressSecondsMin, progressSecondsMax } = this.#options
    let toldAt = Number.NEGATIVE_INFINITY
    for (;;) {
      const item = this.#items.shift()
      const seconds = (performance.now() - toldAt) / 1000
      if (item !== undefined) {
        yield { item }
        this.#makeRoom()
      } else if (this.#last !== undefined) {
        yield this.#last
        return
      } else if (this.#progress && this.#isProgressDue(seconds)) {
        this.#isProgressNew = false
        toldAt = performance.now()
        yield { progress: this.#progress }
      } else {
        const wait = this.#isProgressNew ? progressSecondsMin - seconds : progressSecondsMax
        await this.#untilNews(wait)
      }
    }
  }

  #isProgressDue(seconds: number): boolean {
    const { progressSecondsMin, progressSecondsMax } = this.#options
    return seconds >= (this.#isProgressNew ? progressSecondsMin : progressSecondsMax)
  }

  /** Never rejects. */
  async #run(work: OperationWork): Promise<void> {
    const { log, onEnd } = this.#options
    // Whoever started it holds it before the work can tell anything.
    await Promise.resolve()
    try {
      const report = await work({
        signal: this.#signal,
        progress: (progress) => this.#setProgress(progress),
        tell: (item) => this.#tell(item),
      })
      this.#last = { report }
      log.info({ operation: this.#kind, ...report }, `${this.#kind} is done`)
    } catch (error) {
      this.#last = { error: describe(error) }
      if (this.#signal.aborted) log.info({ operation: this.#kind }, `${this.#kind} was ended early`)
      else log.error({ err: error, operation: this.#kind }, `${this.#kind} failed`)
    }
    onEnd()
    this.#news.resolve()
  }

  #setProgress(progress: OperationProgress): void {
    this.#progress = progress
    this.#isProgressNew = true
    this.#news.resolve()
  }

  async #tell(item: object): Promise<void> {
    this.#items.push(item)
    this.#news.resolve()
    while (this.#items.length >= this.#options.itemsWaitingMax) {
      this.#signal.throwIfAborted()
      await this.#room.promise
    }
  }

  #makeRoom(): void {
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }

  async #untilNews(secondsMax: number): Promise<void> {
    const timer = setTimeout(() => this.#news.resolve(), secondsMax * 1000)
    await this.#news.promise
    clearTimeout(timer)
    this.#news = Promise.withResolvers()
  }
}

/** Of what is no OciError the log tells more than a client may know. */
function describe(error: unknown): OperationFailure {
  if (error instanceof OciError) return { code: error.code, message: error.message }
  // Of commands that work on a directory themselves: it is for whoever typed them.
  if (error instanceof StartError) return { message: error.message }
  return { code: 'UNKNOWN', message: 'an error inside the registry; its log tells more' }
}
