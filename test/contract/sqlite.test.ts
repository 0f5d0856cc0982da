// SQLite's metadata store: the contract, and what is its own: that it survives a restart, refuses a
// file it does not know, and closes what it opened.

import assert from 'node:assert/strict'
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { sql } from 'kysely'
import { openSqlite } from '../../src/metadata/sqlite.ts'
import { SqlMetadataStore } from '../../src/metadata/sql-metadata-store.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import type { UploadId } from '../../src/registry/ports/upload-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { openFilesUnder } from '../support/open-files.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { latest, manifest, stable } from './metadata-entries.ts'
import { metadataStoreContract } from './metadata-store.ts'

metadataStoreContract('SQLite', async (clock) => {
  const directory = await temporaryDirectory()
  const databases = await openSqlite(join(directory.path, 'metadata.db'))
  return {
    metadata: new SqlMetadataStore(databases, clock),
    [Symbol.asyncDispose]: async () => {
      await databases[Symbol.asyncDispose]()
      assert.deepEqual(await openFilesUnder(directory.path), [])
      await directory[Symbol.asyncDispose]()
    },
  }
})

describe('the SQLite database', () => {
  const repository = parseRepositoryName('a/b')
  const digest = digestOf(Buffer.from('x'))

  test('keeps everything over a restart', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    {
      await using databases = await openSqlite(path)
      const metadata = new SqlMetadataStore(databases, new FakeClock())
      await metadata.putBlob(repository, { digest, size: 1 })
      await metadata.putManifest(repository, manifest('m', { blobs: [digest] }), [latest])
      const id = 'upload' as UploadId
      await metadata.createUpload({ id, repository, algorithm: 'sha256', offset: 5, updatedAt: 1 })
    }
    await using databases = await openSqlite(path)
    const metadata = new SqlMetadataStore(databases, new FakeClock())
    assert.deepEqual(await metadata.countContent(), {
      repositories: 1,
      manifests: 1,
      tags: 1,
      blobs: 2,
      bytes: 2,
      uploads: 1,
    })
    assert.equal((await metadata.findManifest(repository, latest))?.size, 1)
    assert.equal((await metadata.findUpload(repository, 'upload' as UploadId))?.offset, 5)
  })

  test('leaves syncing commits to others, and syncs before a checkpoint', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using databases = await openSqlite(path)
    const setting = async (name: string): Promise<unknown> => {
      const pragma = sql.raw<object>(`PRAGMA ${name}`)
      const { rows } = await databases.write((transaction) => pragma.execute(transaction))
      return Object.values(rows[0] ?? {})[0]
    }
    assert.equal(await setting('journal_mode'), 'wal')
    assert.equal(await setting('synchronous'), 1)
    assert.equal(await setting('foreign_keys'), 1)
  })

  test('refuses a file that is no database, says what to do, and leaves it open nowhere', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await writeFile(path, 'this was never a database, however long it is'.repeat(100))
    await assert.rejects(openSqlite(path), {
      name: 'StartError',
      message: /run: trow scrub --rebuild --data-dir .*, or restore a backup/,
    })
    assert.deepEqual(await openFilesUnder(directory.path), [])
  })

  test('refuses a database of a newer version, and leaves it as it is', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await (await openSqlite(path))[Symbol.asyncDispose]()
    const database = new DatabaseSync(path)
    database.exec("insert into kysely_migration values ('9999-later', '2099-01-01')")
    database.close()
    await assert.rejects(openSqlite(path), {
      name: 'StartError',
      message: /9999-later.*newer version/,
    })
    assert.deepEqual(await openFilesUnder(directory.path), [])
  })

  test('cut short at any place is UNAVAILABLE, no list is empty for it, and works again when put back', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using databases = await openSqlite(path)
    const metadata = new SqlMetadataStore(databases, new FakeClock())
    await metadata.putBlob(repository, { digest, size: 1 })
    await metadata.putManifest(repository, manifest('m'), [latest, stable])
    const other = new DatabaseSync(path)
    other.exec('pragma wal_checkpoint(truncate)')
    const row = other.prepare('select * from pragma_page_size, pragma_page_count').get()
    const { page_size: pageBytes, page_count: pages } = row as Record<string, number>
    assert.ok(pageBytes && pages)
    for (let page = 1; page < pages; page += 1) {
      // What a connection remembers of the file goes with a change by another one.
      other.exec(`insert into repositories (name, created_at) values ('page-${page}', 0)`)
      other.exec('pragma wal_checkpoint(truncate)')
      await metadata.hasRepository(repository)
      const sound = await readFile(path)
      await truncate(path, page * pageBytes + 100)
      await assert.rejects(metadata.listTags(repository, { limit: 10 }), {
        code: 'UNAVAILABLE',
        message: /the metadata database is damaged/,
      })
      await writeFile(path, sound)
      assert.equal((await metadata.listTags(repository, { limit: 10 })).length, 2)
    }
    other.close()
  })

  test('made smaller by another program, and whole, is read on', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using databases = await openSqlite(path)
    const metadata = new SqlMetadataStore(databases, new FakeClock())
    await metadata.putBlob(repository, { digest, size: 1 })
    const other = new DatabaseSync(path)
    other.exec('create table large (text)')
    other.prepare('insert into large values (?)').run('x'.repeat(100_000))
    other.exec('pragma wal_checkpoint(truncate)')
    assert.equal(await metadata.hasRepository(repository), true)
    const { size } = await stat(path)
    other.exec('drop table large; vacuum; pragma wal_checkpoint(truncate)')
    other.close()
    assert.ok((await stat(path)).size < size)
    assert.equal(await metadata.hasRepository(repository), true)
    await metadata.putBlob(repository, { digest, size: 1 })
  })

  test('forgets changes of links, however many, up to the one that is told', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    await using databases = await openSqlite(path)
    const metadata = new SqlMetadataStore(databases, new FakeClock())
    await metadata.putBlob(repository, { digest, size: 1 })
    for (let times = 0; times < 1_201; times += 1) await metadata.noteAllLinks()
    const last = await metadata.lastLinkChange()
    await metadata.forgetLinkChanges(last - 1)
    const left = await metadata.listLinkChanges({ after: 0, upTo: last, limit: 10 })
    assert.deepEqual(
      left.map(({ id }) => id),
      [last],
    )
    await metadata.forgetLinkChanges(last)
    assert.equal(await metadata.lastLinkChange(), 0)
  })

  test('held locked by another program is UNAVAILABLE, still reads, and works again after', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    // In place of five seconds, which are too long for a test.
    await using databases = await openSqlite(path, { busySecondsMax: 0 })
    const metadata = new SqlMetadataStore(databases, new FakeClock())
    const intruder = new DatabaseSync(path)
    intruder.exec('BEGIN IMMEDIATE')
    const unavailable = { name: 'OciError', code: 'UNAVAILABLE', status: 503 }
    await assert.rejects(metadata.putBlob(repository, { digest, size: 1 }), unavailable)
    await assert.rejects(metadata.deleteUpload('a' as UploadId), unavailable)
    await assert.rejects(metadata.check(), unavailable)
    assert.deepEqual(await metadata.listRepositories({ limit: 1 }), [])
    intruder.exec('ROLLBACK')
    intruder.close()
    await metadata.check()
    await metadata.putBlob(repository, { digest, size: 1 })
    assert.ok(await metadata.findBlob(repository, digest))
  })
})
