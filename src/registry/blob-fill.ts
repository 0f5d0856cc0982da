/**
 * A blob on its way from an upstream into the store, readable by any number of clients while it
 * arrives. Invariants: bytes are shown only once they are written; the end of a blob is held back
 * until all of it is verified, so no client ever gets a complete body of wrong bytes; a client that
 * goes away stops nothing; a disk that fails costs a client nothing but time.
 */
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Beginning } from './fill-source.ts'
import type { BlobReader, ByteRange } from './ports/blob-store.ts'
import type { UploadReader } from './ports/upload-store.ts'

interface FillParts {
  /** The fill disposes of it, when nobody needs it any more. */
  readonly staged: UploadReader
  /** The bytes from elsewhere, verified too: for whoever finds that they cannot be stored. */
  readonly uncached: (range: ByteRange, beginning?: Beginning) => AsyncIterable<Uint8Array>
  /** Bytes at the end that nobody gets before all of it is verified. */
  readonly heldBackBytes: number
}

export class BlobFill {
  /** Bytes of the whole blob. */
  readonly size: number
  readonly #parts: FillParts
  /** Who needs the staged bytes: the transfer, and each client that reads. */
  #users = 1
  #written = 0
  #isVerified = false
  #failure: Error | undefined
  #beginning: Beginning | undefined
  #progress = Promise.withResolvers<void>()

  constructor(size: number, parts: FillParts) {
    this.size = size
    this.#parts = parts
  }

  /** One more client's view; it must be disposed of. */
  openReader(): BlobReader {
    this.#users += 1
    return new FillReader(this, this.#parts)
  }

  async release(): Promise<void> {
    this.#users -= 1
    if (this.#users === 0) await this.#parts.staged[Symbol.asyncDispose]()
  }

  /** Bytes that are staged, verified or not. */
  get written(): number {
    return this.#written
  }

  get isVerified(): boolean {
    return this.#isVerified
  }

  /** Bytes from the start that may be shown to a client. */
  get readable(): number {
    if (this.#isVerified) return this.#written
    return Math.max(0, Math.min(this.#written, this.size - this.#parts.heldBackBytes))
  }

  advance(written: number): void {
    this.#written = written
    this.#announce()
  }

  /** All bytes are here and are right: nobody needs to wait for them to be durable. */
  verify(): void {
    this.#isVerified = true
    this.#announce()
  }

  /** @param beginning what was arriving, where it is not known to be right or wrong. */
  fail(error: Error, beginning?: Beginning): void {
    this.#failure = error
    this.#beginning = beginning
    this.#announce()
  }

  /**
   * Waits until it is known what the bytes are worth that clients have got.
   * @returns what they are the beginning of, unless they are verified.
   * @throws UpstreamError when they are wrong, or there are no more.
   */
  async findBeginning(): Promise<Beginning | undefined> {
    while (!this.#isVerified && this.#failure === undefined) await this.#progress.promise
    if (this.#isVerified) return undefined
    if (this.#failure instanceof UpstreamError) throw this.#failure
    return this.#beginning
  }

  /** Resolves when more than `position` bytes are readable. @throws what ended the fill. */
  async waitFor(position: number): Promise<void> {
    while (this.readable <= position) {
      if (this.#failure !== undefined) throw this.#failure
      await this.#progress.promise
    }
  }

  /** Resolves when all of it is known to be right. @throws what ended the fill. */
  async waitUntilVerified(): Promise<void> {
    while (!this.#isVerified) {
      if (this.#failure !== undefined) throw this.#failure
      await this.#progress.promise
    }
  }

  #announce(): void {
    this.#progress.resolve()
    this.#progress = Promise.withResolvers<void>()
  }
}

/** One client's view of a fill: a blob like any other, only that reading it may take a while. */
class FillReader implements BlobReader {
  readonly size: number
  readonly #fill: BlobFill
  readonly #parts: FillParts

  constructor(fill: BlobFill, parts: FillParts) {
    this.size = fill.size
    this.#fill = fill
    this.#parts = parts
  }

  async *read(range?: ByteRange): AsyncGenerator<Uint8Array> {
    const wanted = range ?? { start: 0, endInclusive: this.size - 1 }
    let position = wanted.start
    try {
      for await (const chunk of this.#readStaged(wanted)) {
        position += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      // Of an upstream there is no better one; anything else is a matter of this machine.
      if (error instanceof UpstreamError) throw error
    }
    // The staged bytes may be gone because they are wrong: then no others may be put after them.
    const beginning = await this.#fill.findBeginning()
    const rest = { start: position, endInclusive: wanted.endInclusive }
    yield* this.#parts.uncached(rest, beginning)
  }

  async *#readStaged({ start, endInclusive }: ByteRange): AsyncGenerator<Uint8Array> {
    let position = start
    // Of no bytes the head is all there is, and nothing of it can be held back.
    if (this.size === 0) await this.#fill.waitUntilVerified()
    // Whoever sends it can send its head: clients wait for that for seconds only.
    if (this.#fill.readable <= start) yield new Uint8Array(0)
    while (position <= endInclusive) {
      await this.#fill.waitFor(position)
      const reached = Math.min(this.#fill.readable, endInclusive + 1)
      yield* this.#parts.staged.read({ start: position, endInclusive: reached - 1 })
      position = reached
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fill.release()
  }
}
