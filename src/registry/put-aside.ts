/** Taking bytes out of sight that are not those of their digest, or that nobody can read. */
import { isProxiedName } from '../oci/proxied-name.ts'
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts'
import type { ContentLocks } from './content-locks.ts'
import { type BlobReader, type BlobStore, UnreadableContent } from './ports/blob-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'

interface Parts {
  readonly blobs: BlobStore
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
}

/**
 * Unless a push healed the blob since it was found wrong: what is acknowledged now must not go. So it is
 * looked at again, while nobody stores it. @returns whether it was put aside.
 */
export function putAsideIfWrong({ blobs, locks }: Parts, digest: Digest): Promise<boolean> {
  return locks.whileRemoving([digest], async ([free]) => {
    if (free === undefined) return false
    await using reader = await blobs.openBlob(digest)
    if (reader === undefined) return false
    if ((await digestOfContent(reader, digest)) === digest) return false
    await blobs.quarantineBlob(digest)
    return true
  })
}

/** Content that so many repositories have is left where it is. */
const holdersMax = 1_000

/**
 * What cannot be read may be right, and the disk may give it another time: so only content goes that all
 * who have it can fetch from another registry, and that cannot be read a second time.
 * @param from the byte at which that was found. @returns whether it was put aside.
 */
export async function putAsideIfUnreadable(
  { metadata, blobs, locks }: Parts & { readonly metadata: Pick<MetadataStore, 'findHolders'> },
  digest: Digest,
  from: number,
): Promise<boolean> {
  const holders = await metadata.findHolders(digest, holdersMax)
  const isCached = holders.length > 0 && holders.length < holdersMax && holders.every(isProxiedName)
  if (!isCached) return false
  return await locks.whileRemoving([digest], async ([free]) => {
    if (free === undefined) return false
    try {
      await using reader = await blobs.openBlob(digest)
      const range = reader && { start: from, endInclusive: reader.size - 1 }
      for await (const _chunk of reader?.read(range) ?? []);
      return false
    } catch (error) {
      if (!(error instanceof UnreadableContent)) throw error
    }
    await blobs.quarantineBlob(digest)
    return true
  })
}

async function digestOfContent(reader: BlobReader, expected: Digest): Promise<Digest> {
  const digester = new Digester(digestAlgorithm(expected))
  for await (const chunk of reader.read()) digester.update(chunk)
  return digester.digest()
}
