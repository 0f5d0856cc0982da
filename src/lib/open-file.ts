/**
 * A file whose bytes are moved and synced by other threads, and which is closed in this one: to hand that
 * to another takes the event loop longer than to do it. Invariant: a descriptor is closed once, when nothing uses it
 * any more, as the system gives its number to the next file that is opened.
 */
import {
  closeSync,
  fdatasync,
  fstatSync,
  fsync,
  ftruncate,
  open,
  openSync,
  read,
  type Stats,
  writev,
} from 'node:fs'
import { promisify } from 'node:util'

const openLater = promisify(open)
const readSome = promisify(read)
const writeSome = promisify(writev)
const cut = promisify(ftruncate)
const syncBytes = promisify(fdatasync)
const syncAll = promisify(fsync)

export class OpenFile implements Disposable {
  readonly #descriptor: number
  #running = 0
  #isDone = false

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** @param flags of open(2). @throws the error of the system, as all of these do. */
  static async open(path: string, flags: number | 'r'): Promise<OpenFile> {
    return new OpenFile(await openLater(path, flags))
  }

  /** In this thread, for reading: of what was in use a moment ago, and is found in memory. */
  static openNow(path: string): OpenFile {
    return new OpenFile(openSync(path, 'r'))
  }

  /** Of an open file it is known without asking the disk. */
  get stats(): Stats {
    return fstatSync(this.#usable())
  }

  /** @returns how many bytes are in `buffer` from `offset` on; none when the file ends there. */
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }> {
    return this.#use((descriptor) => readSome(descriptor, buffer, offset, length, position))
  }

  /** It may write fewer than asked, on a disk that fills up for example. */
  writev(
    chunks: readonly Uint8Array[],
    position: number,
  ): Promise<{ readonly bytesWritten: number }> {
    return this.#use((descriptor) => writeSome(descriptor, chunks, position))
  }

  truncate(size: number): Promise<void> {
    return this.#use((descriptor) => cut(descriptor, size))
  }

  /** The bytes, and what is needed to find them. */
  datasync(): Promise<void> {
    return this.#use(syncBytes)
  }

  sync(): Promise<void> {
    return this.#use(syncAll)
  }

  /** To be called once; what is under way is finished first. */
  [Symbol.dispose](): void {
    this.#isDone = true
    if (this.#running === 0) closeSync(this.#descriptor)
  }

  async #use<T>(work: (descriptor: number) => Promise<T>): Promise<T> {
    const descriptor = this.#usable()
    this.#running += 1
    try {
      return await work(descriptor)
    } finally {
      this.#running -= 1
      if (this.#isDone && this.#running === 0) closeSync(descriptor)
    }
  }

  #usable(): number {
    if (this.#isDone) throw new Error('the file was closed already')
    return this.#descriptor
  }
}
