/**
 * One connection to the embedded database, as Kysely's driver and its only connection. SQLite is
 * called in this thread, so a lock that another program holds is waited for between calls, not in
 * one: everything else would wait too. A file that was damaged is opened anew, so that a repaired one
 * is found without a restart; nothing is written to a file that is not at its path any more, and
 * nothing is read of one that was cut short.
 */
import { type BigIntStats, statSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import { LruCache } from '../lib/lru-cache.ts'
import { isBusy, isDamage, translated, unavailable } from './sqlite-error.ts'
import type { SqliteSize } from './sqlite-size.ts'
import type { LogPages } from './wal-checkpoint-worker.ts'
import type { WalCheckpoints } from './wal-checkpoints.ts'

export interface ConnectionSettings {
  /** Run on every open. */
  readonly pragmas: readonly string[]
  /** Of one that writes: told of each commit. */
  readonly checkpoints?: WalCheckpoints
  /** Shared by all connections to the file. */
  readonly size: SqliteSize
  /** How long a lock of another program is waited for. */
  readonly busySecondsMax: number
}

interface Prepared {
  readonly statement: StatementSync
  readonly hasRows: boolean
}

/** Statements with lists are prepared once for each length of the list, so they need a bound. */
const preparedStatementsMax = 512
const busyRetryMs = 20
/** While starting nobody else waits yet. */
const busyAtStartMs = 5_000

export class SqliteConnection implements Driver, DatabaseConnection {
  readonly #path: string
  readonly #settings: ConnectionSettings
  readonly #statements = new LruCache<string, Prepared>({ entriesMax: preparedStatementsMax })
  #database: DatabaseSync
  #file: BigIntStats
  #isSuspect = false
  /** Since when another program holds the lock, by a clock that only goes forward. */
  #busySince: number | undefined

  /** @throws the error of SQLite. */
  constructor(path: string, settings: ConnectionSettings) {
    this.#path = path
    this.#settings = settings
    this.#database = open(path, settings.pragmas)
    this.#file = statSync(path, { bigint: true })
  }

  async init(): Promise<void> {}

  acquireConnection(): Promise<DatabaseConnection> {
    return Promise.resolve(this)
  }

  async releaseConnection(): Promise<void> {}

  /** The lock to write is taken now: later it could be refused in the middle. */
  async beginTransaction(): Promise<void> {
    const { checkpoints } = this.#settings
    if (checkpoints?.turn !== undefined) await checkpoints.turn
    await this.#run(checkpoints === undefined ? 'begin' : 'begin immediate', [])
  }

  async commitTransaction(): Promise<void> {
    await this.#run('commit', [])
    const { checkpoints } = this.#settings
    if (checkpoints === undefined) return
    // Two microseconds.
    const { statement } = this.#prepare('pragma wal_checkpoint(noop)')
    for (const pages of statement.all()) checkpoints.committed(pages as unknown as LogPages)
  }

  /** SQLite may have done it already: a full disk ends the transaction. */
  async rollbackTransaction(): Promise<void> {
    if (this.#database.isTransaction) await this.#run('rollback', [])
  }

  destroy(): Promise<void> {
    this.close()
    return Promise.resolve()
  }

  close(): void {
    this.#statements.clear()
    if (this.#database.isOpen) this.#database.close()
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    return this.#run<R>(sql, parameters as SQLInputValue[])
  }

  streamQuery(): never {
    throw new Error('nothing here is read as a stream')
  }

  async #run<R>(sql: string, parameters: SQLInputValue[]): Promise<QueryResult<R>> {
    for (;;) {
      try {
        const result = this.#attempt<R>(sql, parameters)
        this.#busySince = undefined
        return result
      } catch (error) {
        this.#isSuspect ||= isDamage(error)
        if (!isBusy(error) || !this.#mayWait()) throw translated(error)
      }
      await delay(busyRetryMs)
    }
  }

  /** A lock that was held for long is not waited for again by everyone in turn. */
  #mayWait(): boolean {
    const now = performance.now()
    this.#busySince ??= now
    return now - this.#busySince < this.#settings.busySecondsMax * 1000
  }

  #attempt<R>(sql: string, parameters: SQLInputValue[]): QueryResult<R> {
    if (!this.#database.isTransaction) this.#makeSure()
    const { statement, hasRows } = this.#prepare(sql)
    if (hasRows) return { rows: statement.all(...parameters) as R[] }
    const { changes, lastInsertRowid } = statement.run(...parameters)
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  #prepare(sql: string): Prepared {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    const prepared = { statement, hasRows: statement.columns().length > 0 }
    this.#statements.set(sql, prepared)
    return prepared
  }

  /** @throws when what is read now may be missing, or what is written would not be there at the next start. */
  #makeSure(): void {
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    const inPlace = found?.ino === this.#file.ino && found.dev === this.#file.dev
    if (inPlace && this.#settings.size.isCut(found, () => this.#neededBytes())) {
      this.#isSuspect = true
      throw unavailable('the metadata database is damaged: its file was cut short')
    }
    if (!inPlace && this.#settings.checkpoints !== undefined) {
      throw unavailable(
        'the metadata database was replaced or removed while Trow runs: restart it, or put the file back',
      )
    }
    if (this.#isSuspect) this.#reopen()
  }

  /** As many as its pages take, some of which may be in the -wal file only. */
  #neededBytes(): bigint {
    const row = this.#database
      .prepare('select page_count * page_size as bytes from pragma_page_count, pragma_page_size')
      .get()
    return BigInt(Number(row?.['bytes']))
  }

  /**
   * The old one is closed last: the last connection to a file empties its -wal file into it. And the
   * new one looks before it sets anything: on an empty file that would begin a new database.
   */
  #reopen(): void {
    const fresh = new DatabaseSync(this.#path, { timeout: 0 })
    try {
      fresh.prepare('select count(*) from repositories').get()
      for (const pragma of this.#settings.pragmas) fresh.exec(pragma)
    } catch (error) {
      fresh.close()
      throw error
    }
    this.#statements.clear()
    this.#database.close()
    this.#database = fresh
    this.#file = statSync(this.#path, { bigint: true })
    this.#isSuspect = false
  }
}

function open(path: string, pragmas: readonly string[]): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: busyAtStartMs })
  try {
    for (const pragma of pragmas) database.exec(pragma)
    database.exec('PRAGMA busy_timeout = 0')
    return database
  } catch (error) {
    database.close()
    throw error
  }
}
