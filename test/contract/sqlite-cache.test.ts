// What is SQLite's own about cached content and collection: how it finds what to evict, and how a
// database of an earlier version learns when its content was used.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { Kysely, SqliteDialect } from 'kysely'
import * as content from '../../src/metadata/migrations/0001-content.ts'
import * as cacheUse from '../../src/metadata/migrations/0002-cache-use.ts'
import * as collection from '../../src/metadata/migrations/0003-collection.ts'
import { evictableIn, type Position } from '../../src/metadata/queries/cache.ts'
import { openSqlite } from '../../src/metadata/sqlite.ts'
import { digestOf } from '../../src/oci/digest.ts'
import type { RepositoryName } from '../../src/oci/repository-name.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

describe('what to evict next is found without reading or sorting whole tables', () => {
  const position = {
    repository: 'f/a/b' as RepositoryName,
    repositoryId: 1,
    digest: digestOf(Buffer.from('x')),
    usedAt: 1,
  }
  const pages: [name: string, after: Position | undefined][] = [
    ['the first page', undefined],
    ['a page after a blob', { ...position, kind: 'blob' }],
    ['a page after a manifest', { ...position, kind: 'manifest' }],
  ]
  for (const [name, after] of pages) {
    for (const table of ['manifests', 'repository_blobs'] as const) {
      test(`${name} of ${table}`, async () => {
        await using directory = await temporaryDirectory()
        const path = join(directory.path, 'metadata.db')
        await using databases = await openSqlite(path)
        const query = evictableIn(databases.reads, table, 100, after).compile()
        const database = new DatabaseSync(path, { readOnly: true })
        const rows = database
          .prepare(`explain query plan ${query.sql}`)
          .all(...(query.parameters as (string | number)[]))
        database.close()
        const plan = rows.map((row) => String(row['detail'])).join('\n')
        assert.match(plan, new RegExp(`^S\\w+ ${table} USING COVERING INDEX ${table}_by_use`))
        assert.doesNotMatch(plan, /TEMP B-TREE/)
        if (after !== undefined) assert.match(plan, /^SEARCH/)
      })
    }
  }
})

test('a database from before eviction takes what came first to be used first', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'metadata.db')
  const database = new DatabaseSync(path)
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: dialectOf(database) }) })
  await content.up(db)
  database.exec(`
    insert into repositories values (1, 'pushed', 1), (2, 'f/host/cached', 1), (3, 'f', 1), (4, 'f0', 1);
    insert into blobs values ('m', 1, 1), ('layer', 1, 1), ('loose', 1, 1);
    insert into manifests (repository_id, digest, media_type, size, created_at) values
      (1, 'm', 't', 1, 10), (2, 'm', 't', 1, 20), (3, 'm', 't', 1, 30), (4, 'm', 't', 1, 40);
    insert into manifest_references values (2, 'm', 'layer', 'blob');
    insert into repository_blobs (repository_id, digest, created_at) values
      (1, 'loose', 50), (2, 'layer', 60), (2, 'loose', 70);
  `)
  await cacheUse.up(db)
  const used = (table: string): unknown[] =>
    database
      .prepare(`select repository_id, digest, used_at from ${table} where used_at is not null`)
      .all()
      .map((row) => Object.values(row))
  assert.deepEqual(used('manifests'), [[2, 'm', 20]])
  assert.deepEqual(used('repository_blobs'), [[2, 'loose', 70]])
  database.close()
})

test('a database from before collection takes all that is there to be asked for just now', async () => {
  await using directory = await temporaryDirectory()
  const database = new DatabaseSync(join(directory.path, 'metadata.db'))
  const db = new Kysely<unknown>({ dialect: new SqliteDialect({ database: dialectOf(database) }) })
  await content.up(db)
  await cacheUse.up(db)
  database.exec(`
    insert into repositories values (1, 'pushed', 1);
    insert into blobs values ('m', 1, 1), ('layer', 1, 1);
    insert into manifests (repository_id, digest, media_type, size, created_at) values (1, 'm', 't', 1, 10);
    insert into repository_blobs (repository_id, digest, created_at) values (1, 'layer', 60);
  `)
  const before = Date.now()
  await collection.up(db)
  const asked = database.prepare('select asked_at as at from repository_blobs').get()
  const pulled = database.prepare('select pulled_at as at, released_at from manifests').get()
  for (const at of [asked?.['at'], pulled?.['at']]) {
    assert.ok(Number(at) >= before && Number(at) <= Date.now())
  }
  assert.equal(pulled?.['released_at'], null)
  database.close()
})

function dialectOf(
  database: DatabaseSync,
): ConstructorParameters<typeof SqliteDialect>[0]['database'] {
  return {
    close: () => database.close(),
    prepare: (sql) => {
      const statement = database.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as string[])),
        run: (parameters) => statement.run(...(parameters as string[])),
        iterate: (parameters) => statement.iterate(...(parameters as string[])),
      }
    },
  }
}
