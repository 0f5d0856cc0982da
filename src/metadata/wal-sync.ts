/**
 * Makes commits durable without holding up the event loop. SQLite would sync its write-ahead log in
 * this thread, once for each commit: a disk that takes 10 ms for that stops every request meanwhile. So
 * it is told not to (`synchronous = NORMAL`: it still syncs the log before a checkpoint, and the
 * database after it), and whoever wrote waits here for a sync of the log by another thread, which is
 * one for all who wrote before it begins (sqlite.org/wal.html, "Performance Considerations").
 */
import { type BigIntStats, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { unsynced } from './sqlite-error.ts'

interface OpenLog {
  readonly handle: FileHandle
  readonly stats: BigIntStats
}

export class WalSync implements AsyncDisposable {
  readonly #path: string
  readonly #checkpoint: () => Promise<void>
  #log: OpenLog | undefined
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #hasFailed = false

  /** @param checkpoint moves all of the log into the database, durably. @throws unless it could. */
  constructor(database: string, checkpoint: () => Promise<void>) {
    this.#path = `${database}-wal`
    this.#checkpoint = checkpoint
  }

  /**
   * Resolves when all that was committed before the call survives a power cut.
   * @throws OciError UNAVAILABLE, STORAGE_FULL; then nobody knows whether it would.
   */
  sync(): Promise<void> {
    // The one that is under way may have begun before the commit.
    this.#next ??= this.#afterRunning()
    return this.#next
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#next ?? this.#running).catch(() => undefined)
    await this.#log?.handle.close()
  }

  async #afterRunning(): Promise<void> {
    await this.#running.catch(() => undefined)
    this.#next = undefined
    this.#running = this.#sync()
    await this.#running
  }

  async #sync(): Promise<void> {
    try {
      // What a sync failed to write counts as written to the kernel: the next one would say that all is well.
      if (this.#hasFailed) await this.#checkpoint()
      const log = await this.#open()
      await log?.handle.datasync()
      this.#hasFailed = false
    } catch (error) {
      this.#hasFailed = true
      throw unsynced(error)
    }
  }

  /** @returns undefined when there is none: then all of it is in the database. */
  async #open(): Promise<OpenLog | undefined> {
    const stats = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return undefined
    if (this.#log?.stats.ino === stats.ino && this.#log.stats.dev === stats.dev) return this.#log
    await this.#log?.handle.close()
    this.#log = undefined
    this.#log = { handle: await open(this.#path, 'r'), stats }
    return this.#log
  }
}
