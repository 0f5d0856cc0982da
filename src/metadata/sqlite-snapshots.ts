/**
 * Snapshots of the embedded database for backups: taken by a connection of its own, in one read
 * transaction, while the registry goes on writing.
 */
import { DatabaseSync } from 'node:sqlite'
import type { Digest } from '../oci/digest.ts'
import type { BlobRecord } from '../registry/ports/records.ts'
import { findDatabaseProblem } from './sqlite-check.ts'

const busyMs = 30_000
const rowsPerPage = 1_000

/** `Snapshots` of storage/backup/snapshot.ts. */
export class SqliteSnapshots {
  readonly #database: string

  /** @param database path of the one that snapshots are taken of */
  constructor(database: string) {
    this.#database = database
  }

  async take(path: string): Promise<void> {
    // One that is missing must not be made by that.
    const source = new DatabaseSync(this.#database, { timeout: busyMs, readOnly: true })
    try {
      source.prepare('vacuum into ?').run(path)
    } finally {
      source.close()
    }
    const snapshot = new DatabaseSync(path)
    try {
      // Staged bytes are not copied, and what is about to be removed is not needed.
      snapshot.exec('delete from uploads; delete from removals')
      snapshot.exec('pragma journal_mode = delete')
    } finally {
      snapshot.close()
    }
  }

  openContent(path: string): Disposable & { has(digest: Digest): boolean } {
    const snapshot = new DatabaseSync(path, { readOnly: true })
    const row = snapshot.prepare('select 1 from blobs where digest = ?')
    return {
      has: (digest) => row.get(digest) !== undefined,
      [Symbol.dispose]: () => snapshot.close(),
    }
  }

  *listContent(path: string): Generator<BlobRecord> {
    const snapshot = new DatabaseSync(path, { readOnly: true })
    try {
      const page = snapshot.prepare(
        `select digest, size from blobs where digest > ? order by digest limit ${rowsPerPage}`,
      )
      for (let after = ''; ;) {
        const rows = page.all(after) as unknown as BlobRecord[]
        if (rows.length === 0) return
        yield* rows
        after = rows.at(-1)?.digest ?? ''
      }
    } finally {
      snapshot.close()
    }
  }

  findProblem(path: string): Promise<string | undefined> {
    return findDatabaseProblem(path)
  }
}
