/** An OCI image layout in a directory, put into a tar archive that gets its name when it is complete. */
import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'

/** @throws when it cannot be written; then there is nothing of it. */
export async function archiveLayout(
  directory: string,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const partial = `${target}.partial`
  const archive = pack()
  try {
    const writing = pipeline(archive, createWriteStream(partial), { signal })
    await Promise.all([addAll(archive, directory), writing])
    await rename(partial, target)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

/** What says what it is comes first. */
async function addAll(archive: Pack, directory: string): Promise<void> {
  const blobs = join(directory, 'blobs')
  const listed = await readdir(blobs, { recursive: true, withFileTypes: true })
  const files = listed.filter((entry) => entry.isFile())
  const paths = files.map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
  for (const path of ['oci-layout', 'index.json', ...paths.toSorted()]) {
    const file = join(directory, path)
    const { size } = await stat(file)
    const entry = archive.entry({ name: path, size, mode: 0o644, mtime: new Date(0) })
    await pipeline(createReadStream(file), entry)
  }
  archive.finalize()
}
