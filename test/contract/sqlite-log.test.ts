// The log of the embedded database: moved into it beside those who write, and bounded whatever they do.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { sql } from 'kysely'
import { limits } from '../../src/config/limits.ts'
import { type Databases, openSqlite } from '../../src/metadata/sqlite.ts'
import { WalCheckpoints } from '../../src/metadata/wal-checkpoints.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const pageBytes = 4096
const writers = 8

/** So many pages, by several who write at once and wait for nobody. */
async function writePages(databases: Databases, pages: number): Promise<void> {
  const writing = Array.from({ length: writers }, async () => {
    for (let page = 0; page < pages / writers; page += 1) {
      await databases.write((db) => sql`insert into large values (randomblob(3000))`.execute(db), {
        sync: 'left',
      })
    }
  })
  await Promise.all(writing)
}

async function openWithTable(path: string): Promise<Databases> {
  const databases = await openSqlite(path)
  await databases.write((db) => sql`create table large (bytes blob)`.execute(db))
  return databases
}

function logPages(path: string): number {
  using other = new DatabaseSync(path)
  return Number(other.prepare('pragma wal_checkpoint(noop)').get()?.['log'])
}

describe('the log of the database', () => {
  test('stays short however many write', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using databases = await openWithTable(path)
    await writePages(databases, 3 * limits.walPagesMax)
    const { size } = await stat(`${path}-wal`)
    assert.ok(size < 1.5 * limits.walPagesMax * pageBytes, `${size} bytes`)
    assert.ok((await stat(path)).size > 2 * limits.walPagesMax * pageBytes)
  })

  test('grows while somebody reads for long, and nobody who writes waits for that', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using databases = await openWithTable(path)
    const reader = new DatabaseSync(path)
    reader.exec('begin')
    reader.prepare('select count(*) from large').get()
    await writePages(databases, 2 * limits.walPagesMax)
    assert.ok(logPages(path) > 1.5 * limits.walPagesMax)
    reader.exec('commit')
    reader.close()
    await writePages(databases, 2 * limits.walPagesMax)
    assert.ok(logPages(path) < limits.walPagesMax)
  })

  test('is in the database after a clean end, with all that was written', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    {
      await using databases = await openWithTable(path)
      await writePages(databases, 2 * limits.walPagesPerCheckpoint)
    }
    assert.equal(existsSync(`${path}-wal`), false)
    using database = new DatabaseSync(path)
    const row = database.prepare('select count(*) as count from large').get()
    assert.equal(row?.['count'], 2 * limits.walPagesPerCheckpoint)
  })

  test('that cannot be moved holds nobody up, and no file is made for it', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using checkpoints = new WalCheckpoints(path)
    checkpoints.committed({ log: limits.walPagesMax, checkpointed: 0 })
    assert.notEqual(checkpoints.turn, undefined)
    await checkpoints.turn
    checkpoints.committed({ log: limits.walPagesMax + 1, checkpointed: 0 })
    assert.equal(checkpoints.turn, undefined)
    assert.equal(existsSync(path), false)
  })
})
