/**
 * One process owns a data directory. The lock is the operating system's (SQLite's exclusive lock on
 * an empty database), so it ends with its process, however that ends; `owner.json` only says who
 * holds it.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { StartError } from '../../lib/start-error.ts'
import type { DataLayout } from './layout.ts'

/** SQLite's result codes: a lock that another connection holds, no space, a file of something else. */
const sqliteBusy = 5
const sqliteFull = 13
const sqliteNotADatabase = 26

export class DirectoryLock implements AsyncDisposable {
  readonly #database: DatabaseSync
  readonly #ownerFile: string

  private constructor(database: DatabaseSync, ownerFile: string) {
    this.#database = database
    this.#ownerFile = ownerFile
  }

  /** @throws StartError naming the holder when the directory is in use. */
  static async acquire(layout: DataLayout): Promise<DirectoryLock> {
    const database = openLockFile(layout)
    try {
      database.exec('BEGIN EXCLUSIVE')
    } catch (cause) {
      database.close()
      const code = (cause as { errcode?: unknown }).errcode
      if (code !== sqliteBusy) throw cannotLock(layout, code, cause)
      throw new StartError(
        `data directory ${layout.root} is in use by ${await holder(layout.owner)}; ` +
          'stop that one first, or start with another --data-dir',
        { cause },
      )
    }
    try {
      const owner = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
      await writeFile(layout.owner, `${JSON.stringify(owner)}\n`)
      return new DirectoryLock(database, layout.owner)
    } catch (error) {
      database.close()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#ownerFile, { force: true })
    this.#database.close()
  }
}

function openLockFile(layout: DataLayout): DatabaseSync {
  try {
    return new DatabaseSync(layout.lock, { timeout: 0 })
  } catch (cause) {
    throw new StartError(`cannot open ${layout.lock}: ${(cause as Error).message}`, { cause })
  }
}

function cannotLock(layout: DataLayout, code: unknown, cause: unknown): StartError {
  if (code === sqliteFull) {
    return new StartError(`no space is left for data directory ${layout.root}: free or add some`, {
      cause,
    })
  }
  const advice =
    code === sqliteNotADatabase ? `; if no Trow uses it, remove ${layout.lock} and start again` : ''
  return new StartError(
    `cannot lock data directory ${layout.root}: ${cause instanceof Error ? cause.message : String(cause)}${advice}`,
    { cause },
  )
}

async function holder(ownerFile: string): Promise<string> {
  try {
    const owner = JSON.parse(await readFile(ownerFile, 'utf8')) as Record<string, unknown>
    return `process ${String(owner['pid'])} on host ${String(owner['host'])} since ${String(owner['since'])}`
  } catch {
    // The holder is just starting or just ending.
    return 'another process'
  }
}
