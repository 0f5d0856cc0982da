/**
 * The few file operations that make a write survive a power cut: a new name in a directory is only
 * durable once the directory itself was synced.
 */
import { randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OpenFile } from './open-file.ts'

export async function syncDirectory(directory: string): Promise<void> {
  using opened = OpenFile.openNow(directory)
  await opened.sync()
}

/** Gives a synced file its final name, replacing what had it, and makes that durable. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncDirectory(dirname(to))
}

/**
 * Writes a whole small file: whoever opens `path` sees all of it or what was there before.
 * @param options.staging a path on the same file system that may be written first; beside `path` if absent.
 * @param options.mode which it has from the beginning.
 */
export async function writeFileDurably(
  path: string,
  bytes: Uint8Array | string,
  {
    staging = `${path}.${randomBytes(6).toString('hex')}.tmp`,
    mode = 0o666,
  }: { readonly staging?: string; readonly mode?: number } = {},
): Promise<void> {
  try {
    const handle = await open(staging, 'wx', mode)
    try {
      await handle.writeFile(bytes)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    await renameDurably(staging, path)
  } catch (error) {
    // What is told is why it was not written.
    await rm(staging, { force: true }).catch(() => undefined)
    throw error
  }
}
