/**
 * A file whose bytes are moved and synced by other threads, and which is closed in this one: to hand that
 * to another takes the event loop longer than to do it, once nothing is left to be written.
 */
import { closeSync, fdatasync, fstatSync, fsync, ftruncate, open, openSync, writev } from 'node:fs'
import { promisify } from 'node:util'

const openLater = promisify(open)
const writeAll = promisify(writev)
const cut = promisify(ftruncate)
const syncBytes = promisify(fdatasync)
const syncAll = promisify(fsync)

export class OpenFile implements Disposable {
  readonly #descriptor: number

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** @param flags of open(2). @throws the error of the system. */
  static async open(path: string, flags: number): Promise<OpenFile> {
    return new OpenFile(await openLater(path, flags))
  }

  /** Of a directory, which is found in memory when something was just done in it. @throws as `open`. */
  static openDirectory(path: string): OpenFile {
    return new OpenFile(openSync(path, 'r'))
  }

  /** In bytes; known without asking the disk. */
  get size(): number {
    return fstatSync(this.#descriptor).size
  }

  /** @returns how many bytes were written: fewer than asked on a disk that fills up, for example. */
  async writev(chunks: readonly Uint8Array[], position: number): Promise<number> {
    return (await writeAll(this.#descriptor, chunks, position)).bytesWritten
  }

  async truncate(size: number): Promise<void> {
    await cut(this.#descriptor, size)
  }

  /** The bytes, and what is needed to find them. */
  async datasync(): Promise<void> {
    await syncBytes(this.#descriptor)
  }

  async sync(): Promise<void> {
    await syncAll(this.#descriptor)
  }

  /** To be called once, when nothing is under way. */
  [Symbol.dispose](): void {
    closeSync(this.#descriptor)
  }
}
