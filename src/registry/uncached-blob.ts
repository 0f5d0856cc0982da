/**
 * A blob that cannot be stored, because the disk is full for example, passed on to one client as it
 * comes. Its end is held back until all of it is verified, as that of a blob that is stored.
 */
import { digestAlgorithm, Digester } from '../oci/digest.ts'
import { type Beginning, contentError, continuing, type FillSource, upTo } from './fill-source.ts'
import type { ByteRange } from './ports/blob-store.ts'

interface UncachedBlob {
  readonly size: number
  readonly heldBackBytes: number
  readonly signal: AbortSignal
}

/**
 * The bytes of `range`, by a transfer of their own.
 * @param beginning of the bytes that the client has got some of before, which nobody could verify.
 * @throws UpstreamError
 */
export async function* readUncached(
  source: FillSource,
  { size, heldBackBytes, signal }: UncachedBlob,
  range: ByteRange,
  beginning: Beginning = { size: 0, digest: source.digest },
): AsyncGenerator<Uint8Array> {
  const end = range.endInclusive + 1
  const heldFrom = Math.max(0, size - heldBackBytes)
  const held = Buffer.alloc(size - heldFrom)
  const digester = new Digester(digestAlgorithm(source.digest))
  await using transfer = await source.open(0, signal)
  if (transfer.offset !== 0 || (transfer.size ?? size) !== size) {
    throw contentError(source, 'it answers with other bytes than before')
  }
  let position = 0
  for await (const chunk of continuing(upTo(transfer.chunks, size), source, beginning)) {
    digester.update(chunk)
    const shown = cut(chunk, position, { start: range.start, end: Math.min(end, heldFrom) })
    if (shown.length > 0) yield shown
    held.set(cut(chunk, position, { start: heldFrom, end: size }), Math.max(0, position - heldFrom))
    position += chunk.length
    if (position >= end && end <= heldFrom) return
  }
  const actual = digester.digest()
  if (actual !== source.digest) throw contentError(source, `its bytes have the digest ${actual}`)
  yield cut(held, heldFrom, { start: range.start, end })
}

/** What of a chunk, which begins at byte `position`, is between two bytes. */
function cut(
  chunk: Uint8Array,
  position: number,
  { start, end }: { start: number; end: number },
): Uint8Array {
  const from = Math.max(0, start - position)
  return chunk.subarray(from, Math.max(from, end - position))
}
