/** An OCI image layout in a directory, put into a tar archive that gets its name when it is complete. */
import { createReadStream, createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'
import { limits } from '../config/limits.ts'
import { renameDurably } from '../lib/durable.ts'
import type { Digest } from '../oci/digest.ts'
import { parseManifest } from '../oci/manifest.ts'
import { DirectoryTree, readSmall } from './file-tree.ts'
import { pathOf } from './oci-layout.ts'

/**
 * @param directory on the file system of `target`.
 * @param listed what its `index.json` names: that goes in with all it refers to, and nothing else.
 * @throws when it cannot be written; then there is nothing of it.
 */
export async function archiveLayout(
  directory: string,
  listed: readonly Digest[],
  { target, signal }: { readonly target: string; readonly signal: AbortSignal },
): Promise<void> {
  const partial = join(directory, 'archive.partial')
  const archive = pack()
  try {
    const paths = await listPaths(new DirectoryTree(directory), listed)
    const writing = pipeline(archive, createWriteStream(partial, { flush: true }), { signal })
    await Promise.all([addAll(archive, directory, paths), writing])
    await renameDurably(partial, target)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function listPaths(files: DirectoryTree, listed: readonly Digest[]): Promise<string[]> {
  const manifests = new Set(listed)
  const paths = new Set<string>()
  // Those that are found on the way are gone through as well.
  for (const digest of manifests) {
    paths.add(pathOf(digest))
    const bytes = await readSmall(files, pathOf(digest), limits.manifestBytesMax)
    const content = parseManifest(bytes, undefined)
    for (const child of content.manifests) manifests.add(child.digest)
    for (const blob of content.blobs) paths.add(pathOf(blob.digest))
    for (const { digest: layer } of content.optionalBlobs) {
      if ((await files.sizeOf(pathOf(layer))) !== undefined) paths.add(pathOf(layer))
    }
  }
  return [...paths].toSorted()
}

/** What says what it is comes first. */
async function addAll(archive: Pack, directory: string, paths: readonly string[]): Promise<void> {
  for (const path of ['oci-layout', 'index.json', ...paths]) {
    const file = join(directory, path)
    const { size } = await stat(file)
    const entry = archive.entry({ name: path, size, mode: 0o644, mtime: new Date(0) })
    await pipeline(createReadStream(file), entry)
  }
  archive.finalize()
}
