/**
 * The thread of sqlite-check.ts: reads all of a database file by a connection of its own, and answers with
 * one message. The steps are apart so that the thread can be ended between two of them.
 */
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { isDamage } from './sqlite-error.ts'

/** What is wrong with the file, or why it could not be looked at. */
export type CheckResult = { readonly problem: string | undefined } | { readonly failure: string }

function check(path: string): CheckResult {
  try {
    using database = new DatabaseSync(path, { readOnly: true })
    return { problem: findProblem(database) }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return isDamage(error) ? { problem: message } : { failure: message }
  }
}

function findProblem(database: DatabaseSync): string | undefined {
  database.exec('pragma cell_size_check = on')
  // The structure of the file first: a table can only be read by it.
  const structure = answerTo(database, 'pragma quick_check(1)')
  if (structure !== 'ok') return structure
  const tables = database
    .prepare(`select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`)
    .all()
  if (tables.length === 0) return 'it has no tables'
  for (const { name } of tables) {
    // Whether indexes have what tables have takes ten times as long.
    const rows = answerTo(database, `pragma integrity_check("${String(name)}")`)
    if (rows !== 'ok') return rows
    const [lost] = database.prepare(`pragma foreign_key_check("${String(name)}")`).all()
    if (lost)
      return `rows of ${String(name)} refer to rows of ${String(lost['parent'])} that are lost`
  }
  return undefined
}

/** SQLite writes several lines. */
function answerTo(database: DatabaseSync, pragma: string): string {
  const [value] = Object.values(database.prepare(pragma).get() ?? {})
  return String(value).replaceAll(/\s+/g, ' ')
}

parentPort?.postMessage(check(String(workerData)))
