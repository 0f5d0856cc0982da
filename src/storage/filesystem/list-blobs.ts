/**
 * Listing what lies below `blobs/`: one directory's names are in memory at a time, and what vanishes
 * or is no blob is passed over.
 */
import { readdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Digest, digestAlgorithms, isDigest } from '../../oci/digest.ts'
import type { StoredBlob } from '../../registry/ports/blob-store.ts'
import { isMissing, translated } from './file-error.ts'
import { type DataLayout, shards } from './layout.ts'

/** In the order of the digests, after `after`. */
export async function* listStoredBlobs(
  layout: DataLayout,
  { after = '', perPage }: { after?: Digest | '' | undefined; perPage: number },
): AsyncGenerator<readonly StoredBlob[]> {
  for (const algorithm of digestAlgorithms) {
    for (const shard of shards) {
      const prefix = `${algorithm}:${shard}`
      if (prefix < after && !after.startsWith(prefix)) continue
      const digests = await listShard(layout, prefix, after)
      for (let start = 0; start < digests.length; start += perPage) {
        const page = digests.slice(start, start + perPage)
        const found = await Promise.all(page.map((digest) => findStored(layout, digest)))
        const stored = found.filter((blob) => blob !== undefined)
        if (stored.length > 0) yield stored
      }
    }
  }
}

async function listShard(layout: DataLayout, prefix: string, after: string): Promise<Digest[]> {
  const algorithm = prefix.slice(0, -2)
  // The directory is that of any digest that begins so.
  const directory = dirname(layout.blob(prefix as Digest))
  try {
    const names = await readdir(directory)
    return names
      .map((name) => `${algorithm}${name}`)
      .filter((name): name is Digest => isDigest(name) && name.startsWith(prefix) && name > after)
      .toSorted()
  } catch (error) {
    if (isMissing(error)) return []
    throw translated(error)
  }
}

async function findStored(layout: DataLayout, digest: Digest): Promise<StoredBlob | undefined> {
  try {
    const { size, mtimeMs } = await stat(layout.blob(digest))
    return { digest, size, modifiedAt: mtimeMs }
  } catch (error) {
    if (isMissing(error)) return undefined
    throw translated(error)
  }
}
