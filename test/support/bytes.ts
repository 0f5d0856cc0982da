// Bytes for storage tests: made from a seed, taken in pieces, collected the way a careful reader of
// reused buffers has to.

import type { AppendObserver } from '../../src/registry/ports/upload-store.ts'

/** For those who do not look at what they append. */
export const unobserved: AppendObserver = { onBytes: () => undefined }

/** No two places within a megabyte look alike, so that misplaced bytes are noticed. */
export function patternBytes(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size)
  let state = (seed * 2_654_435_761) >>> 0 || 1
  for (let index = 0; index < size; index += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[index] = state & 0xff
  }
  return bytes
}

/** Each piece is of memory of its own, as a socket gives them. */
export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    yield Buffer.from(bytes.subarray(start, start + pieceBytes))
  }
}

/** The bytes, and then a failure: a client that goes away. */
export async function* thenThrow(bytes: Uint8Array, error: unknown): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield Buffer.from(bytes)
  throw error
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const chunk of chunks) copies.push(Buffer.from(chunk))
  return Buffer.concat(copies)
}
