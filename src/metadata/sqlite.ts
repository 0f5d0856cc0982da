/**
 * The embedded metadata database: node:sqlite behind Kysely's own SQLite dialect. One connection
 * writes, another one reads, so that a page of tags does not wait for a push.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { OciError } from '../oci/errors.ts'
import { LruCache } from '../lib/lru-cache.ts'
import { StartError } from '../lib/start-error.ts'
import { migrate } from './migrate.ts'
import type { Schema } from './schema.ts'

export interface Databases extends AsyncDisposable {
  readonly reads: Kysely<Schema>
  readonly writes: Kysely<Schema>
}

/** Statements with lists are prepared once for each length of the list, so they need a bound. */
const preparedStatementsMax = 512

/** @throws StartError when the file is no database, or of a newer version. */
export async function openSqlite(path: string): Promise<Databases> {
  const writes = connect(path, [
    'PRAGMA journal_mode = WAL',
    // Every acknowledged write survives a power cut: 0.24 ms a commit on a local disk.
    'PRAGMA synchronous = FULL',
    'PRAGMA foreign_keys = ON',
  ])
  try {
    await migrate(writes.db, path)
    const reads = connect(path, ['PRAGMA query_only = ON'])
    return {
      reads: reads.db,
      writes: writes.db,
      [Symbol.asyncDispose]: async () => {
        await reads[Symbol.asyncDispose]()
        await writes[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await writes[Symbol.asyncDispose]()
    throw error
  }
}

interface Connection extends AsyncDisposable {
  readonly db: Kysely<Schema>
}

function connect(path: string, pragmas: string[]): Connection {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 5_000 })
    for (const pragma of pragmas) database.exec(pragma)
  } catch (cause) {
    database?.close()
    throw new StartError(
      `the metadata database ${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}; ` +
        'restore it from a backup, or move it away to start with an empty registry',
      { cause },
    )
  }
  const opened = database
  const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: adapt(opened) }) })
  return {
    db,
    [Symbol.asyncDispose]: async () => {
      await db.destroy()
      // Kysely only closes a database that it was asked a query of.
      if (opened.isOpen) opened.close()
    },
  }
}

/** node:sqlite in the shape that Kysely's dialect asks for, with statements kept prepared. */
function adapt(database: DatabaseSync): ConstructorParameters<typeof SqliteDialect>[0]['database'] {
  const statements = new LruCache<string, StatementSync>({ entriesMax: preparedStatementsMax })
  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    const statement = database.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  return {
    close: () => {
      statements.clear()
      database.close()
    },
    prepare: (sql) => {
      const statement = prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => translated(() => statement.all(...(parameters as SQLInputValue[]))),
        run: (parameters) => translated(() => statement.run(...(parameters as SQLInputValue[]))),
        iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
      }
    },
  }
}

/** SQLite's primary result codes (sqlite.org/rescode.html) that an operator can do something about. */
const outages: Record<number, string> = {
  5: 'the metadata database is locked by another program',
  6: 'the metadata database is locked by another program',
  8: 'the metadata database is on a read-only file system or not writable',
  10: 'the metadata database cannot be read or written: the disk reports an error',
  11: 'the metadata database is damaged',
  26: 'the metadata database is damaged',
}
const sqliteFull = 13

function translated<T>(query: () => T): T {
  try {
    return query()
  } catch (cause) {
    const code = Number((cause as { errcode?: unknown }).errcode) & 0xff
    if (code === sqliteFull) {
      throw new OciError('STORAGE_FULL', { headers: { 'Retry-After': '60' }, cause })
    }
    const outage = outages[code]
    if (outage === undefined) throw cause
    throw new OciError('UNAVAILABLE', { message: outage, headers: { 'Retry-After': '10' }, cause })
  }
}
