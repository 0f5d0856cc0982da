/** Directories that files cannot be moved between: a blob that is complete could not get its name. */
import { randomBytes } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../lib/start-error.ts'
import { errorCode } from './file-error.ts'
import type { DataLayout } from './layout.ts'

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
