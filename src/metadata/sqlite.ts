/**
 * The embedded metadata database: node:sqlite behind Kysely. One connection writes, another one
 * reads, so that a page of tags does not wait for a push.
 */
import { dirname } from 'node:path'
import {
  Kysely,
  sql,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type Transaction,
} from 'kysely'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { OciError } from '../oci/errors.ts'
import { migrate } from './migrate.ts'
import type { Schema } from './schema.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { findDatabaseProblem } from './sqlite-check.ts'
import { isBusy, unavailable } from './sqlite-error.ts'
import { SqliteSize } from './sqlite-size.ts'
import { WalCheckpoints } from './wal-checkpoints.ts'
import { WalSync } from './wal-sync.ts'

/** Of a write to the log: `begun` is done within moments, `left` with whatever is written next. */
type LogSync = 'awaited' | 'begun' | 'left'

export interface Databases extends AsyncDisposable {
  readonly reads: Kysely<Schema>
  /**
   * Runs `work` in a transaction of its own, one after the other. Resolves when what it wrote survives
   * a power cut, unless that is not to be `awaited`: then when others can read it. When that fails it may
   * have been written all the same.
   */
  write<T>(
    work: (transaction: Transaction<Schema>) => Promise<T>,
    options?: { readonly sync: LogSync },
  ): Promise<T>
  /** What is wrong with the file. */
  readonly findProblem: (signal: AbortSignal) => Promise<string | undefined>
}

interface Settings {
  readonly busySecondsMax?: number
  /** Asked before a new database is made; what it throws keeps it from that. */
  readonly beforeNew?: () => Promise<void>
}

/** @throws StartError when the file is no database, or of a newer version. */
export async function openSqlite(
  path: string,
  {
    busySecondsMax = limits.databaseBusySecondsMax,
    beforeNew = () => Promise.resolve(),
  }: Settings = {},
): Promise<Databases> {
  const size = new SqliteSize(path)
  const checkpoints = new WalCheckpoints(path)
  const writes = connect(path, {
    size,
    busySecondsMax,
    checkpoints,
    pragmas: [
      'PRAGMA journal_mode = WAL',
      // Whoever writes waits for the log to be synced, by WalSync.
      'PRAGMA synchronous = NORMAL',
      `PRAGMA wal_autocheckpoint = ${limits.walPagesUntendedMax}`,
      'PRAGMA foreign_keys = ON',
    ],
  })
  const log = new WalSync(path, async () => {
    await checkpoints.rest()
    await moveLog(writes.db)
  })
  try {
    await migrate(writes.db, path, beforeNew)
    await log.sync()
    const reads = connect(path, {
      size,
      busySecondsMax,
      pragmas: ['PRAGMA query_only = ON'],
    })
    return {
      reads: reads.db,
      write: async (work, { sync } = { sync: 'awaited' }) => {
        const result = await writes.db.transaction().execute(work)
        // What fails is told to those who wait, from now on.
        if (sync === 'begun') log.sync().catch(() => undefined)
        if (sync === 'awaited') await log.sync()
        return result
      },
      findProblem: async (signal) => {
        const problem = await findDatabaseProblem(path, signal)
        return problem && describeDamage(path, problem)
      },
      [Symbol.asyncDispose]: async () => {
        await checkpoints[Symbol.asyncDispose]()
        await reads[Symbol.asyncDispose]()
        await writes[Symbol.asyncDispose]()
        await log[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await checkpoints[Symbol.asyncDispose]()
    await writes[Symbol.asyncDispose]()
    await log[Symbol.asyncDispose]()
    // Damage in the middle of the file shows only when it is read.
    throw error instanceof OciError ? cannotOpen(path, error.cause ?? error) : error
  }
}

/** What the rest of it says is not worth much; that is still in the files beside it. */
function describeDamage(path: string, problem: string): string {
  return (
    `the metadata database ${path} is damaged: ${problem}; stop Trow, and make it anew from what lies ` +
    `beside it: trow scrub --repair --data-dir ${dirname(path)}`
  )
}

/** @throws OciError UNAVAILABLE when somebody who reads keeps it from taking all of the log. */
async function moveLog(db: Kysely<Schema>): Promise<void> {
  const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(db)
  if (rows[0]?.busy === 0) return
  throw unavailable(
    'the metadata database could not be synced yet after the disk reported an error',
  )
}

/** Kysely's has migrations write one statement after the other, and a crash would leave half of one for ever. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

interface Connection extends AsyncDisposable {
  readonly db: Kysely<Schema>
}

function connect(
  path: string,
  settings: ConstructorParameters<typeof SqliteConnection>[1],
): Connection {
  let connection: SqliteConnection
  try {
    connection = new SqliteConnection(path, settings)
  } catch (cause) {
    throw cannotOpen(path, cause)
  }
  const db = new Kysely<Schema>({
    dialect: {
      createAdapter: () => new TransactionalAdapter(),
      createDriver: () => connection,
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
  return {
    db,
    [Symbol.asyncDispose]: async () => {
      await db.destroy()
      // Kysely only closes a database that it was asked a query of.
      connection.close()
    },
  }
}

function cannotOpen(path: string, cause: unknown): StartError {
  const problem = cause instanceof Error ? cause.message : String(cause)
  const advice = isBusy(cause)
    ? 'another program uses it: stop that one first'
    : `run: trow scrub --rebuild --data-dir ${dirname(path)}, or restore a backup`
  return new StartError(`the metadata database ${path} cannot be opened: ${problem}; ${advice}`, {
    cause,
  })
}
