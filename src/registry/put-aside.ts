/** Taking bytes out of sight that are not those of their digest. */
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts'
import type { ContentLocks } from './content-locks.ts'
import type { BlobReader, BlobStore } from './ports/blob-store.ts'
import type { BlobRecord } from './ports/records.ts'

interface Parts {
  readonly blobs: BlobStore
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
}

/**
 * Unless a push healed the blob since it was found wrong: what is acknowledged now must not go. So it is
 * looked at again, while nobody stores it. @returns whether it was put aside.
 */
export function putAsideIfWrong(
  { blobs, locks }: Parts,
  { digest, size }: BlobRecord,
): Promise<boolean> {
  return locks.whileRemoving([digest], async ([free]) => {
    if (free === undefined) return false
    await using reader = await blobs.openBlob(digest)
    if (reader === undefined) return false
    if (reader.size === size && (await digestOfContent(reader, digest)) === digest) return false
    await blobs.quarantineBlob(digest)
    return true
  })
}

async function digestOfContent(reader: BlobReader, expected: Digest): Promise<Digest> {
  const digester = new Digester(digestAlgorithm(expected))
  for await (const chunk of reader.read()) digester.update(chunk)
  return digester.digest()
}
