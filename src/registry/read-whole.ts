/** Content that is small enough to be in memory as a whole. */
import type { BlobStore } from './ports/blob-store.ts'
import type { BlobRecord } from './ports/records.ts'

/** @returns undefined when there is nothing, or something of another size. */
export async function readWhole(
  blobs: BlobStore,
  { digest, size }: BlobRecord,
): Promise<Uint8Array | undefined> {
  await using reader = await blobs.openBlob(digest)
  if (reader?.size !== size) return undefined
  const bytes = Buffer.alloc(size)
  let offset = 0
  for await (const chunk of reader.read()) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
