/** Reading a part of a file by pieces: one is being sent while the next one is being read. */
import { OciError } from '../../oci/errors.ts'
import { type ByteRange, UnreadableContent } from '../../registry/ports/blob-store.ts'
import { errorCode, translated } from './file-error.ts'
import type { Piece, SharedFile, SharedReads } from './shared-reads.ts'

/**
 * Yields the bytes of `range`; a chunk is valid until the next one is asked for.
 * @throws UnreadableContent or OciError UNAVAILABLE when they cannot be read, or the file ends before the range does.
 */
export async function* readRange(
  file: SharedFile,
  range: ByteRange,
  reads: SharedReads,
): AsyncGenerator<Uint8Array> {
  const end = range.endInclusive + 1
  let position = range.start
  const takeNext = (): Piece | undefined =>
    position < end ? reads.take(file, position, end) : undefined
  let next = takeNext()
  let sent: Piece | undefined
  try {
    while (next !== undefined) {
      const chunk = await bytesOf(next, position, end)
      position += chunk.length
      sent = next
      // It is released once, when taking the next one fails, too.
      next = undefined
      next = takeNext()
      yield chunk
      await reads.release(sent)
      sent = undefined
    }
  } finally {
    if (next !== undefined) await reads.release(next)
    if (sent !== undefined) await reads.abandon(sent)
  }
}

async function bytesOf(piece: Piece, start: number, end: number): Promise<Uint8Array> {
  let bytes: Uint8Array
  try {
    bytes = await piece.bytes
  } catch (error) {
    const problem = translated(error)
    const isOfBytes = errorCode(error) === 'EIO' && problem instanceof OciError
    throw isOfBytes ? new UnreadableContent(problem) : problem
  }
  if (bytes.length > 0) return bytes.length > end - start ? bytes.subarray(0, end - start) : bytes
  throw new OciError('UNAVAILABLE', {
    message: `the registry cannot read its data: a file ended at byte ${start}, expected ${end}`,
  })
}
