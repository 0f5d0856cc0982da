/**
 * Files that are synced while more of them arrives: a disk that has nothing to do until the last byte
 * is there makes everybody wait for all of it then. Each sync takes a thread of libuv's pool for as long
 * as the disk likes, so there are only so many at a time; who finds none goes on without.
 */
import type { OpenFile } from '../../lib/open-file.ts'

interface Settings {
  /** So much is written before it is worth a sync. */
  readonly syncBytes: number
  readonly syncsAtOnce: number
}

export class EarlySyncs {
  readonly #settings: Settings
  #running = 0

  constructor(settings: Settings) {
    this.#settings = settings
  }

  of(file: Pick<OpenFile, 'datasync'>): EarlySync {
    return new EarlySync(this.#settings.syncBytes, () => this.#sync(file))
  }

  /** @returns undefined when enough others are being synced. */
  #sync(file: Pick<OpenFile, 'datasync'>): Promise<void> | undefined {
    if (this.#running >= this.#settings.syncsAtOnce) return undefined
    this.#running += 1
    return file.datasync().finally(() => {
      this.#running -= 1
    })
  }
}

export class EarlySync {
  readonly #syncBytes: number
  readonly #begin: () => Promise<void> | undefined
  #unsynced = 0
  #syncing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(syncBytes: number, begin: () => Promise<void> | undefined) {
    this.#syncBytes = syncBytes
    this.#begin = begin
  }

  /**
   * To be told of all that is written. @throws what a sync before failed with: the system tells of
   * bytes that it lost once, and a later sync succeeds.
   */
  wrote(bytes: number): void {
    if (this.#failure !== undefined) throw this.#failure.error
    this.#unsynced += bytes
    if (this.#unsynced < this.#syncBytes || this.#syncing !== undefined) return
    this.#syncing = this.#begin()?.then(
      () => this.#end(),
      (error: unknown) => this.#end({ error }),
    )
    if (this.#syncing !== undefined) this.#unsynced = 0
  }

  /** Resolves when nothing is being synced; the last bytes are still to be. @throws as `wrote` does. */
  async finish(): Promise<void> {
    await this.#syncing
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #end(failure?: { readonly error: unknown }): void {
    this.#failure ??= failure
    this.#syncing = undefined
  }
}
