/**
 * One file of a node, put in place and taken away again. What somebody else wrote is kept as a second
 * name of the same file beside ours, so that it comes back with its bytes, owner, mode and times, by a
 * rename that cannot be seen half done. Of two versions by others the newer one counts.
 */
import { rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { renameDurably, syncDirectory } from '../lib/durable.ts'
import type { NodeRoot } from './node-root.ts'
import { formatOwned, type Owned, parseOwned } from './owned-text.ts'
import type { WantedFile } from './runtime.ts'
import {
  exists,
  type FileOwner,
  findMissingDirectory,
  linkDurably,
  writeStaged,
} from './staged-file.ts'

/** What was there before us. No runtime reads a file of this name. */
export const backupSuffix = '.before-trow'

export type Installation = 'written' | 'unchanged'
/** `kept`: it is somebody else's, and stays as it is. */
export type Removal = 'restored' | 'removed' | 'kept'

export interface FilePlan {
  /** For this process. */
  readonly place: string
  /** What is there, if it is ours. */
  readonly owned: Owned | undefined
  readonly isForeign: boolean
  /** Where the node has what was there before us, if anything was. */
  readonly original: string
  readonly body: string
  /** The topmost directory that is to go with the file. */
  readonly madeDirectory: string | undefined
  readonly isCurrent: boolean
}

/** @param made directories that were made for files of ours which are not wanted any more. */
export async function planFile(
  node: NodeRoot,
  { path, render }: WantedFile,
  made: readonly string[] = [],
): Promise<FilePlan> {
  const place = await node.locate(path)
  const owned = await findOwned(node, path)
  const isForeign = owned === undefined && (await exists(place))
  const original = isForeign ? path : `${path}${backupSuffix}`
  const body = render(await node.findText(original))
  const missing = await findMissingDirectory(place)
  const above = made.filter((directory) => path.startsWith(`${directory}/`))
  if (owned?.madeDirectory !== undefined) above.push(owned.madeDirectory)
  if (missing !== undefined) above.push(node.pathOf(missing))
  const [madeDirectory] = above.sort((a, b) => a.length - b.length)
  const isCurrent = owned?.body === body && owned.madeDirectory === madeDirectory
  return { place, owned, isForeign, original, body, madeDirectory, isCurrent }
}

export async function installFile(
  node: NodeRoot,
  wanted: WantedFile,
  made: readonly string[],
): Promise<Installation> {
  const plan = await planFile(node, wanted, made)
  const { place, isForeign, original, body, madeDirectory } = plan
  if (plan.isCurrent) return 'unchanged'
  if (isForeign) await linkDurably(place, `${place}${backupSuffix}`)
  const text = formatOwned({ body, ...(madeDirectory !== undefined && { madeDirectory }) })
  await writeStaged(place, text, await findOwner(node, original))
  return 'written'
}

/** @returns undefined where nothing is ours. */
export async function restoreFile(node: NodeRoot, path: string): Promise<Removal | undefined> {
  const place = await node.locate(path)
  const backup = `${place}${backupSuffix}`
  const owned = await findOwned(node, path)
  const isForeign = owned === undefined && (await exists(place))
  if (await exists(backup)) {
    if (!isForeign) {
      await renameDurably(backup, place)
      return 'restored'
    }
    // An installation that went no further, or a file that somebody has put in the place of ours.
    await removeDurably(backup)
    return 'kept'
  }
  if (owned === undefined) return undefined
  await removeDurably(place)
  await removeMadeDirectories(node, dirname(place), owned.madeDirectory)
  return 'removed'
}

export async function findOwned(node: NodeRoot, path: string): Promise<Owned | undefined> {
  const text = await node.findText(path)
  return text === undefined ? undefined : parseOwned(text)
}

async function findOwner(node: NodeRoot, path: string): Promise<FileOwner | undefined> {
  const place = await node.locate(path, 'followed')
  if (!(await exists(place))) return undefined
  const { mode, uid, gid } = await stat(place)
  return { mode: mode & 0o7777, uid, gid }
}

async function removeDurably(path: string): Promise<void> {
  await rm(path)
  await syncDirectory(dirname(path))
}

/** Others may have put something into them meanwhile: then they stay. */
async function removeMadeDirectories(
  node: NodeRoot,
  from: string,
  madeDirectory: string | undefined,
): Promise<void> {
  if (madeDirectory === undefined) return
  const topmost = join(node.directory, madeDirectory)
  for (let path = from; path.startsWith(topmost); path = dirname(path)) {
    try {
      await rmdir(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOTEMPTY') return
      throw error
    }
  }
  await syncDirectory(dirname(topmost))
}
