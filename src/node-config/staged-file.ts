/**
 * Writes a file so that it is there whole or not at all, together with the directories that it needs:
 * what is missing is built under a name of ours beside its place, synced, and renamed.
 */
import { randomBytes } from 'node:crypto'
import { chmod, link, lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { renameDurably, syncDirectory } from '../lib/durable.ts'
import { isAbsence } from './node-root.ts'

/** What an interrupted run left; the next one removes it. */
export const stagingName = /\.trow-[\da-f]{12}\.tmp$/

export interface FileOwner {
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** The topmost directory that is missing above a file, if any is. */
export async function findMissingDirectory(path: string): Promise<string | undefined> {
  let missing: string | undefined
  let directory = dirname(path)
  while (!(await exists(directory))) {
    missing = directory
    directory = dirname(directory)
  }
  return missing
}

/** @param owner as the file has to have it; without one it is ours, and everybody may read it. */
export async function writeStaged(path: string, text: string, owner?: FileOwner): Promise<void> {
  const target = (await findMissingDirectory(path)) ?? path
  const staging = stagingPath(target)
  const staged = `${staging}${path.slice(target.length)}`
  try {
    if (staged !== staging) await mkdir(dirname(staged), { recursive: true })
    await writeSynced(staged, text, owner)
    for (let path = staged; path !== staging; path = dirname(path)) {
      // Whatever the umask is: not every runtime is root.
      await chmod(dirname(path), 0o755)
      await syncDirectory(dirname(path))
    }
    await renameDurably(staging, target)
  } catch (error) {
    await rm(staging, { force: true, recursive: true }).catch(() => undefined)
    throw error
  }
}

/** Gives what is at `path` a second name; what had that name is gone then. */
export async function linkDurably(path: string, name: string): Promise<void> {
  const staging = stagingPath(name)
  try {
    await link(path, staging)
    await rename(staging, name)
    await syncDirectory(dirname(name))
  } finally {
    // Renaming one name of a file to another one of its names does nothing.
    await rm(staging, { force: true })
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (isAbsence(error)) return false
    throw error
  }
}

function stagingPath(path: string): string {
  return `${path}.trow-${randomBytes(6).toString('hex')}.tmp`
}

async function writeSynced(path: string, text: string, owner?: FileOwner): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    const isOurs = owner === undefined || owner.uid === process.getuid?.()
    if (!isOurs) await handle.chown(owner.uid, owner.gid)
    await handle.chmod(owner?.mode ?? 0o644)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
