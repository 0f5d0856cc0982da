/**
 * The database file before anything opens it. One that is lost beside content must not become a new one:
 * everything that is stored would be nobody's, and a scrub would remove it. It can be put aside, and be
 * made anew from what lies beside it.
 */
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from '../../lib/durable.ts'
import { StartError } from '../../lib/start-error.ts'
import { OciError } from '../../oci/errors.ts'
import { isMarkedBy, markIncomplete, refuseIncomplete } from './incomplete.ts'
import type { DataLayout } from './layout.ts'
import { listStoredBlobs } from './list-blobs.ts'
import { sizeOf } from './file-size.ts'

export interface DatabaseOptions {
  /** Moves the database into the quarantine, so that a new one is made. */
  readonly putDatabaseAside?: 'always' | 'if damaged'
  /** Reads all of the file, which a server would not have the time for. @returns what is wrong with it. */
  readonly findDatabaseProblem?: (path: string) => Promise<string | undefined>
}

export interface PutAside {
  /** What was wrong: `is missing` */
  readonly reason: string
  /** Where the file is now, if there was one. */
  readonly path?: string
}

const rebuildCommand = 'trow scrub --rebuild'

/** @returns what became of the file, unless it stays. @throws StartError when it cannot be used. */
export async function takeDatabase(
  layout: DataLayout,
  { putDatabaseAside, findDatabaseProblem }: DatabaseOptions,
): Promise<PutAside | undefined> {
  if (putDatabaseAside === 'always') return await putAside(layout, 'is made anew')
  if (putDatabaseAside === 'if damaged' && (await isMarkedBy(layout, rebuildCommand))) {
    return await putAside(layout, 'is not complete')
  }
  await refuseIncomplete(layout)
  const loss = await findLoss(layout)
  const problem = loss ?? (await findDamage(layout, findDatabaseProblem))
  if (problem === undefined) return undefined
  if (putDatabaseAside === 'if damaged') return await putAside(layout, problem)
  if (loss === undefined) {
    throw new StartError(
      `the metadata database ${layout.database} ${problem}; make it anew and check the rest: ` +
        `trow scrub --repair --data-dir ${layout.root}`,
    )
  }
  throw await lost(layout, loss)
}

/** Before the first table of a database is made. @throws StartError when it is not the first one. */
export async function refuseNewDatabase(layout: DataLayout): Promise<void> {
  if (await isKnownOf(layout)) throw await lost(layout, 'has no tables')
}

/** SQLite takes an empty file for a new database, and throws its -wal file away. */
async function findLoss(layout: DataLayout): Promise<'is missing' | 'is empty' | undefined> {
  const size = await sizeOf(layout.database)
  if (size !== undefined && size > 0) return undefined
  const hasLog = ((await sizeOf(`${layout.database}-wal`)) ?? 0) > 0
  if (!hasLog && !(await isKnownOf(layout))) return undefined
  return size === undefined ? 'is missing' : 'is empty'
}

async function findDamage(
  layout: DataLayout,
  findProblem: DatabaseOptions['findDatabaseProblem'],
): Promise<string | undefined> {
  if (findProblem === undefined || (await sizeOf(layout.database)) === undefined) return undefined
  const problem = await findProblem(layout.database)
  if (problem === undefined) return undefined
  // The first start of all may have ended before there were tables.
  const isNew = (await sizeOf(layout.links)) === undefined && !(await hasContent(layout))
  return isNew ? undefined : `is damaged: ${problem}`
}

async function lost(layout: DataLayout, problem: string): Promise<StartError> {
  const hasLinks = (await sizeOf(layout.links)) !== undefined
  const advice = hasLinks
    ? `run: trow scrub --rebuild --data-dir ${layout.root}, or restore a backup`
    : 'restore a backup, or begin with another directory and push the images again'
  return new StartError(
    `the metadata database ${layout.database} ${problem}, but there is content that it knew; nothing ` +
      `was changed: ${advice}`,
  )
}

/** As a whole or not at all: what is missing was moved before, and the rest follows it. */
async function putAside(layout: DataLayout, reason: string): Promise<PutAside> {
  const linked = await sizeOf(layout.links)
  if (linked === undefined || (linked === 0 && (await hasContent(layout)))) {
    throw new StartError(
      `data directory ${layout.root} has no links, from which the database could be made: ` +
        'restore a backup, or push the images again; nothing was changed',
    )
  }
  await markIncomplete(layout, rebuildCommand)
  await mkdir(layout.quarantine, { recursive: true })
  const name = `metadata-${new Date().toISOString().replaceAll(':', '')}.db`
  const path = join(layout.quarantine, name)
  let isThere = false
  for (const suffix of ['', '-wal', '-shm']) {
    const from = `${layout.database}${suffix}`
    if ((await sizeOf(from)) === undefined) continue
    await rename(from, `${path}${suffix}`)
    isThere = true
  }
  await syncDirectory(layout.quarantine)
  await syncDirectory(layout.root)
  return { reason, ...(isThere && { path }) }
}

async function isKnownOf(layout: DataLayout): Promise<boolean> {
  return ((await sizeOf(layout.links)) ?? 0) > 0 || (await hasContent(layout))
}

async function hasContent(layout: DataLayout): Promise<boolean> {
  try {
    for await (const _first of listStoredBlobs(layout, { perPage: 1 })) return true
    return false
  } catch (error) {
    // Nobody is a client yet: what the system said is for the operator.
    throw error instanceof OciError ? error.cause : error
  }
}
