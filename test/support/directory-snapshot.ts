// All that can be seen of a directory, so that a test can show that it is as it was before.

import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

export type DirectorySnapshot = Readonly<Record<string, unknown>>

/** Modes, owners, targets of links, and of files contents and times, by path. */
export async function takeSnapshot(directory: string): Promise<DirectorySnapshot> {
  const seen: Record<string, unknown> = {}
  const entries = await readdir(directory, { recursive: true })
  for (const entry of entries.sort()) {
    const path = join(directory, entry)
    const status = await lstat(path)
    const { mode, uid, gid, mtimeMs } = status
    seen[entry] = {
      mode,
      uid,
      gid,
      ...(status.isSymbolicLink() && { target: await readlink(path) }),
      ...(status.isFile() && { mtimeMs, bytes: (await readFile(path)).toString('base64') }),
    }
  }
  return seen
}
