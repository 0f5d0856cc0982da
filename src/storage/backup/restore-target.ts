/**
 * The directory that a backup is restored into: an empty one, one that a restore began, or that of a registry
 * which holds nothing, as its first start leaves it on a new volume. Nobody else uses it meanwhile.
 */
import { mkdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { StartError } from '../../lib/start-error.ts'
import { isMarkedBy, markIncomplete } from '../filesystem/incomplete.ts'
import type { DataLayout } from '../filesystem/layout.ts'
import { listStoredBlobs } from '../filesystem/list-blobs.ts'
import { DirectoryLock } from '../filesystem/lock.ts'
import { listVolumeNames } from '../filesystem/volume-names.ts'
import { databaseName, formatName, keyName } from './names.ts'
import type { Snapshots } from './snapshot.ts'

const restoreCommand = 'trow restore'
const blobsPerPage = 1_000

/** @throws StartError for a directory that is in use, or holds something; nothing was changed then. */
export async function takeTarget(
  layout: DataLayout,
  snapshots: Pick<Snapshots, 'listContent'>,
): Promise<AsyncDisposable> {
  await mkdir(layout.root, { recursive: true })
  const names = await listNames(layout)
  const isBegun = await isMarkedBy(layout, restoreCommand)
  if (names.length > 0 && !isBegun && !names.includes(formatName)) {
    throw refusal(layout, 'is not empty')
  }
  const lock = await DirectoryLock.acquire(layout)
  try {
    if (!isBegun && names.length > 0) await refuseContent(layout, names, snapshots)
    await markIncomplete(layout, restoreCommand)
    for (const path of [layout.links, layout.uploads, join(layout.root, keyName)]) {
      await rm(path, { recursive: true, force: true })
    }
    return lock
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

/** Without the lock: one may be left of a restore that was killed before it wrote anything. */
async function listNames({ root, lock, owner }: DataLayout): Promise<string[]> {
  const ofLock = [lock, `${lock}-journal`, owner].map((path) => basename(path))
  return (await listVolumeNames(root)).filter((name) => !ofLock.includes(name))
}

async function refuseContent(
  layout: DataLayout,
  names: readonly string[],
  snapshots: Pick<Snapshots, 'listContent'>,
): Promise<void> {
  let stored = 0
  for await (const blobs of listStoredBlobs(layout, { perPage: blobsPerPage })) {
    stored += blobs.length
  }
  let known = 0
  if (names.includes(databaseName)) {
    for (const _ of snapshots.listContent(layout.database)) known += 1
  }
  if (stored === 0 && known === 0) return
  throw refusal(layout, `holds ${stored} blobs, and its database knows ${known}`)
}

function refusal(layout: DataLayout, what: string): StartError {
  return new StartError(
    `${layout.root} ${what}: a backup is restored into an empty directory, or into that of a registry that ` +
      'holds nothing; nothing was changed',
  )
}
