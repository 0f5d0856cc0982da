/**
 * What would lose content if a start went on all the same: a database that was emptied or lost beside content
 * that is still there, and directories that files cannot be moved between.
 */
import { randomBytes } from 'node:crypto'
import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../lib/start-error.ts'
import { errorCode, isMissing } from './file-error.ts'
import type { DataLayout } from './layout.ts'

/** SQLite takes an empty file for a new database, and throws its -wal file away. */
export async function refuseEmptiedDatabase(layout: DataLayout): Promise<void> {
  if ((await sizeOf(layout.database)) !== 0) return
  const hasLog = ((await sizeOf(`${layout.database}-wal`)) ?? 0) > 0
  if (!hasLog && !(await hasContent(layout))) return
  throw new StartError(
    `the metadata database ${layout.database} is empty, but there is content that it knew; nothing ` +
      `was changed: run: trow scrub --rebuild --data-dir ${layout.root}, or restore a backup`,
  )
}

/** Without it everything that is stored would be nobody's, and a scrub would remove it. */
export async function refuseLostDatabase(layout: DataLayout): Promise<void> {
  if ((await sizeOf(layout.database)) !== undefined) return
  if (((await sizeOf(layout.links)) ?? 0) === 0) return
  throw new StartError(
    `the metadata database ${layout.database} is missing, but ${layout.links} tells of content that it ` +
      `knew; nothing was changed: run: trow scrub --rebuild --data-dir ${layout.root}, or move ` +
      'links.log away as well to start with an empty registry',
  )
}

/** A blob gets its name by a rename, which does not work from one mount to another. */
export async function refuseSplitVolumes(layout: DataLayout): Promise<void> {
  const name = `write-${randomBytes(6).toString('hex')}`
  const from = join(layout.uploads, name)
  const to = join(layout.blobs, name)
  try {
    await writeFile(from, '')
    await rename(from, to)
  } catch (error) {
    if (errorCode(error) !== 'EXDEV') throw error
    throw new StartError(
      `${layout.uploads} and ${layout.blobs} are on different volumes: ` +
        `mount one volume for all of ${layout.root}`,
      { cause: error },
    )
  } finally {
    for (const path of [from, to]) await rm(path, { force: true }).catch(() => undefined)
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function hasContent(layout: DataLayout): Promise<boolean> {
  const entries = await readdir(layout.blobs, { recursive: true, withFileTypes: true }).catch(
    () => [],
  )
  return entries.some((entry) => entry.isFile())
}
