/**
 * A pool of read buffers, and reading a file with two of them: one is being sent while the next is
 * being filled. Large ones cost the least time, and few readers get them; many share what there is,
 * so that memory does not grow with their number. Slow clients hold their buffers for as long as they
 * like: beyond the bound a reader gets small ones.
 */
import type { FileHandle } from 'node:fs/promises'
import { freeBytes } from '../../lib/free-bytes.ts'
import { OciError } from '../../oci/errors.ts'
import { type ByteRange, UnreadableContent } from '../../registry/ports/blob-store.ts'
import { errorCode, translated } from './file-error.ts'

interface Settings {
  readonly bytes: number
  /** Bytes of buffers that are kept for the next reader. */
  readonly pooledBytesMax: number
  /** Bytes of all buffers in use, shared by their readers; beyond it these get `bytesBeyond`. */
  readonly takenBytesMax?: number
  readonly bytesBeyond?: number
}

/** What a reader has: one is sent, the next one is filled. */
const buffersPerReader = 2

export class ReadBuffers {
  readonly #settings: Required<Settings>
  #free: Buffer[] = []
  /** Of the buffers that are handed out, and of those that are kept. */
  #length: number
  #takenBytes = 0
  #readers = 0

  constructor(settings: Settings) {
    this.#settings = { takenBytesMax: Infinity, bytesBeyond: settings.bytes, ...settings }
    this.#length = settings.bytes
  }

  /** To be called by whoever is about to take buffers, until it disposes of this. */
  join(): Disposable {
    this.#countReaders(1)
    return { [Symbol.dispose]: () => this.#countReaders(-1) }
  }

  /** A buffer for up to `wanted` bytes; small content does not take a pooled one. */
  take(wanted: number): Buffer {
    const buffer = this.#findOrMake(wanted)
    this.#takenBytes += buffer.length
    return buffer
  }

  /** One that nobody uses any more. */
  give(buffer: Buffer): void {
    this.#takenBytes -= buffer.length
    const pooledMax = this.#settings.pooledBytesMax / this.#length
    const isWanted = buffer.length === this.#length && this.#free.length < pooledMax
    if (isWanted) this.#free.push(buffer)
    else freeBytes(buffer)
  }

  /** One whose reader broke off: its memory stays until nothing refers to it. */
  forget(buffer: Buffer): void {
    this.#takenBytes -= buffer.length
  }

  #countReaders(more: number): void {
    const { bytes, takenBytesMax, bytesBeyond } = this.#settings
    this.#readers += more
    const share = takenBytesMax / (Math.max(this.#readers, 1) * buffersPerReader)
    // Halved again and again, so that readers that come and go do not change it each time.
    let length = bytes
    while (length > share && length > bytesBeyond) length = Math.ceil(length / 2)
    if (length === this.#length) return
    this.#length = length
    for (const buffer of this.#free) freeBytes(buffer)
    this.#free = []
  }

  #findOrMake(wanted: number): Buffer {
    const { takenBytesMax, bytesBeyond } = this.#settings
    const isSmall = wanted <= this.#length / 4
    const length = isSmall ? wanted : this.#length
    if (this.#takenBytes + length > takenBytesMax) {
      return Buffer.allocUnsafeSlow(Math.min(length, bytesBeyond))
    }
    return (isSmall ? undefined : this.#free.pop()) ?? Buffer.allocUnsafeSlow(length)
  }
}

interface Reading {
  readonly buffer: Buffer
  readonly chunk: Promise<Uint8Array>
}

/**
 * Yields the bytes of `range`; a chunk is valid until the next one is asked for.
 * @throws UnreadableContent or OciError UNAVAILABLE when they cannot be read, or the file ends before the range does.
 */
export async function* readRange(
  file: FileHandle,
  range: ByteRange,
  buffers: ReadBuffers,
): AsyncGenerator<Uint8Array> {
  using _reader = buffers.join()
  const end = range.endInclusive + 1
  let position = range.start
  const startReading = (): Reading | undefined => {
    if (position >= end) return undefined
    const buffer = buffers.take(end - position)
    const chunk = readChunk(file, buffer, { start: position, end })
    // It is awaited after the chunk before was sent; until then its failure is not unhandled.
    chunk.catch(() => undefined)
    return { buffer, chunk }
  }
  let next = startReading()
  let sent: Buffer | undefined
  try {
    while (next !== undefined) {
      const chunk: Uint8Array = await next.chunk
      position += chunk.length
      sent = next.buffer
      next = startReading()
      yield chunk
      buffers.give(sent)
      sent = undefined
    }
  } finally {
    // The kernel may still be writing into a buffer: it must not go back before that is over.
    await next?.chunk.catch(() => undefined)
    if (next !== undefined) buffers.give(next.buffer)
    if (sent !== undefined) buffers.forget(sent)
  }
}

async function readChunk(
  file: FileHandle,
  buffer: Buffer,
  { start, end }: { start: number; end: number },
): Promise<Uint8Array> {
  let bytesRead: number
  try {
    ;({ bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - start), start))
  } catch (error) {
    const problem = translated(error)
    const isOfBytes = errorCode(error) === 'EIO' && problem instanceof OciError
    throw isOfBytes ? new UnreadableContent(problem) : problem
  }
  if (bytesRead > 0) return buffer.subarray(0, bytesRead)
  throw new OciError('UNAVAILABLE', {
    message: `the registry cannot read its data: a file ended at byte ${start}, expected ${end}`,
  })
}
