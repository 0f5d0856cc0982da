/**
 * Moves the write-ahead log into the database on another thread. SQLite would do that within a commit,
 * with two syncs and a thousand writes in between, and nobody would be served meanwhile. A log of which
 * something is always missing in the database never starts again at its beginning, so when it has
 * become long those who write wait for one checkpoint; but not for somebody who reads for long and keeps it from
 * being complete.
 */
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { limits } from '../config/limits.ts'
import type { CheckpointResult, LogPages } from './wal-checkpoint-worker.ts'

/** Beside this file, in the sources and in what is published. */
const program = new URL(`./wal-checkpoint-worker${extname(import.meta.url)}`, import.meta.url)

export class WalCheckpoints implements AsyncDisposable {
  readonly #database: string
  #thread: Worker | undefined
  #running: Promise<void> | undefined
  #turn: Promise<void> | undefined
  /** Pages in the log when a checkpoint failed last. */
  #failedAt = 0
  /** Pages in the log when those who write had to wait last. */
  #heldAt = 0
  #idle: NodeJS.Timeout | undefined

  constructor(database: string) {
    this.#database = database
  }

  /** What a transaction has to wait for before it begins; undefined when it need not. */
  get turn(): Promise<void> | undefined {
    return this.#turn
  }

  /** Called after each commit. */
  committed({ log, checkpointed }: LogPages): void {
    // It began again.
    if (log < this.#failedAt) this.#failedAt = 0
    if (log < this.#heldAt) this.#heldAt = 0
    if (log - this.#heldAt >= limits.walPagesMax) {
      this.#heldAt = log
      this.#turn = this.#checkpointAlone(log)
      return
    }
    const isDue = log - Math.max(checkpointed, this.#failedAt) >= limits.walPagesPerCheckpoint
    if (isDue && this.#running === undefined) void this.#begin(log)
  }

  /** Resolves when none is under way. Never rejects. */
  async rest(): Promise<void> {
    await this.#turn
    await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest()
    clearTimeout(this.#idle)
    await this.#thread?.terminate()
  }

  /** What is under way may have looked before the last commit. */
  async #checkpointAlone(log: number): Promise<void> {
    await this.#running
    await this.#begin(log)
    this.#turn = undefined
  }

  #begin(log: number): Promise<void> {
    clearTimeout(this.#idle)
    const running = this.#checkpoint(log).finally(() => {
      this.#running = undefined
      this.#endWhenIdle()
    })
    this.#running = running
    return running
  }

  /** Never rejects: what failed is in the log, and is tried again when that has grown. */
  async #checkpoint(log: number): Promise<void> {
    try {
      const thread = (this.#thread ??= this.#startThread())
      thread.ref()
      const answer = once(thread, 'message')
      thread.postMessage('checkpoint')
      const [result] = (await answer) as [CheckpointResult]
      thread.unref()
      this.#failedAt = 'failure' in result ? log : 0
    } catch {
      // It could not be started, or ended.
      this.#failedAt = log
      this.#thread = undefined
    }
  }

  #startThread(): Worker {
    const { walThreadHeapMiBMax: maxOldGenerationSizeMb } = limits
    const resourceLimits = { maxOldGenerationSizeMb, maxYoungGenerationSizeMb: 1 }
    const thread = new Worker(program, { workerData: this.#database, resourceLimits })
    thread.on('error', () => undefined)
    return thread
  }

  /** It takes memory that a registry to which nobody pushes can do without. */
  #endWhenIdle(): void {
    this.#idle = setTimeout(() => {
      void this.#thread?.terminate()
      this.#thread = undefined
    }, limits.walThreadIdleSecondsMax * 1000)
    this.#idle.unref()
  }
}
