/**
 * Hashes what is large in a thread of its own, and the rest on the event loop. The thread is started when
 * it is needed, and ended when nothing was to be hashed for a while. When it ends otherwise, or
 * cannot be started, what it was hashing is hashed again from what is staged, and the event loop does its work for some time.
 */
import { type Digest, type DigestAlgorithm, Digester } from '../../oci/digest.ts'
import { LoopDigest } from '../../registry/loop-hashing.ts'
import type { Hashing, RunningDigest } from '../../registry/ports/hashing.ts'
import type { Log } from '../../registry/request-context.ts'
import { bytesIn, HashThread, type HashThreadSettings } from './hash-thread.ts'

export interface ThreadHashingSettings extends HashThreadSettings {
  /** Bodies of so many bytes are large. */
  readonly largeBytes: number
  /** Where nobody knows how many come: those of which so many had come when the first were written. */
  readonly largeRunBytes: number
  readonly idleSecondsMax: number
  /** So long after it failed no other thread is started. */
  readonly retrySeconds: number
}

export class ThreadHashing implements Hashing, AsyncDisposable {
  readonly #log: Log
  readonly #settings: ThreadHashingSettings
  #thread: HashThread | undefined
  #idle: NodeJS.Timeout | undefined
  /** In milliseconds since the process began. */
  #failedAt = -Infinity

  constructor(log: Log, settings: ThreadHashingSettings) {
    this.#log = log
    this.#settings = settings
  }

  begin(algorithm: DigestAlgorithm, bytesExpected: number | undefined): RunningDigest {
    const { largeBytes, largeRunBytes } = this.#settings
    if (bytesExpected !== undefined && bytesExpected < largeBytes) return new LoopDigest(algorithm)
    const runBytesMin = bytesExpected === undefined ? largeRunBytes : 0
    return new DigestOfStored(algorithm, (runBytes) =>
      runBytes < runBytesMin ? undefined : this.#findThread(),
    )
  }

  /** Bytes that are given to the thread, and that it is not done with. */
  get backlog(): number {
    return this.#thread?.backlog ?? 0
  }

  /** Whether there is a thread now. */
  get hasThread(): boolean {
    return this.#thread !== undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }

  /** @returns undefined when there is none for now. */
  #findThread(): HashThread | undefined {
    clearTimeout(this.#idle)
    if (this.#thread !== undefined) return this.#thread
    if (performance.now() - this.#failedAt < this.#settings.retrySeconds * 1000) return undefined
    try {
      this.#thread = new HashThread(
        this.#settings,
        () => this.#rest(),
        (cause) => this.#failed(cause),
      )
    } catch (error) {
      this.#failed(error)
    }
    return this.#thread
  }

  #failed(error: unknown): void {
    this.#thread = undefined
    this.#failedAt = performance.now()
    this.#log.warn(
      { err: error },
      'the thread that hashes large uploads and fills ended: they are hashed again from the disk, ' +
        'and the next ones without it, which is slower; nothing is lost',
    )
  }

  /** Digests that rest in it for longer are dropped: they are of sessions that nothing is sent to. */
  #rest(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      // If it is, it will rest again.
      if (this.#thread?.isBusy === false) void this.#end()
    }, this.#settings.idleSecondsMax * 1000)
    this.#idle.unref()
  }

  async #end(): Promise<void> {
    clearTimeout(this.#idle)
    const thread = this.#thread
    this.#thread = undefined
    await thread?.end()
  }
}

/** Decided by the first bytes that are stored: in the thread, or on the event loop if there is none for it. */
class DigestOfStored implements RunningDigest {
  readonly algorithm: DigestAlgorithm
  readonly observer = {
    onStored: (run: readonly Uint8Array[]): Promise<void> | void => this.#take(run),
  }
  readonly #choose: (runBytes: number) => HashThread | undefined
  #size = 0
  #home: Digester | { readonly thread: HashThread; readonly id: number } | undefined

  constructor(algorithm: DigestAlgorithm, choose: (runBytes: number) => HashThread | undefined) {
    this.algorithm = algorithm
    this.#choose = choose
  }

  get size(): number {
    return this.#size
  }

  async digest(): Promise<Digest | undefined> {
    const home = this.#home ?? new Digester(this.algorithm)
    // Nothing is left to be dropped.
    this.#home = undefined
    if (home instanceof Digester) return home.digest()
    const hex = await home.thread.digest(home.id)
    return hex === undefined ? undefined : (`${this.algorithm}:${hex}` as Digest)
  }

  [Symbol.dispose](): void {
    if (this.#home !== undefined && 'thread' in this.#home) this.#home.thread.drop(this.#home.id)
  }

  #take(run: readonly Uint8Array[]): Promise<void> | void {
    const length = bytesIn(run)
    const home = (this.#home ??= this.#begin(length))
    this.#size += length
    if (!(home instanceof Digester)) return home.thread.take(home.id, this.algorithm, run)
    for (const bytes of run) home.update(bytes)
  }

  #begin(length: number): Digester | { thread: HashThread; id: number } {
    const thread = this.#choose(length)
    return thread === undefined ? new Digester(this.algorithm) : { thread, id: thread.newId() }
  }
}
