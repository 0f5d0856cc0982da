/**
 * `kill -9` while the server brings the database of an older version to its own: at any moment it is
 * one or the other, whole, and the next start has everything. From each version of the schema.
 */
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { cp, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import * as content from '../../src/metadata/migrations/0001-content.ts'
import * as cacheUse from '../../src/metadata/migrations/0002-cache-use.ts'
import * as collection from '../../src/metadata/migrations/0003-collection.ts'
import * as links from '../../src/metadata/migrations/0004-links.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { startTrow } from '../support/run-command.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'

const migrations = {
  '0001-content': content,
  '0002-cache-use': cacheUse,
  '0003-collection': collection,
  '0004-links': links,
}
const image = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'], layerBytes: 10_000 })
/** So many that what is changed does not fit into the memory that SQLite takes. */
const fillerRows = 60_000
const killsAfterBytes = [0, 400_000, 800_000] as const
/** A migration that writes little may be through each time before the signal comes. */
const triesMax = 30

/** What a migration asks of its database, asked of this one. */
async function apply(database: DatabaseSync, up: (db: Kysely<unknown>) => Promise<void>) {
  const db = new Kysely<unknown>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
    log: ({ query }) => {
      database.prepare(query.sql).run(...(query.parameters as (string | number)[]))
    },
  })
  await up(db)
}

function namesIn(database: DatabaseSync, sql: string): string[] {
  return database
    .prepare(sql)
    .all()
    .map((row) => String(row['name']))
}

/** The database as the version would have it whose last migration this is, with many more rows. */
async function makeOlder(path: string, last: keyof typeof migrations): Promise<void> {
  await rename(path, `${path}.new`)
  const old = new DatabaseSync(path, { enableForeignKeyConstraints: false })
  old.exec(`PRAGMA journal_mode = WAL; ATTACH '${path}.new' AS new`)
  const own = "FROM new.sqlite_schema WHERE name LIKE 'kysely_%' AND type = 'table'"
  for (const row of old.prepare(`SELECT sql ${own}`).all()) old.exec(String(row['sql']))
  for (const [name, { up }] of Object.entries(migrations)) {
    if (name <= last) await apply(old, up)
  }
  const tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
  for (const table of namesIn(old, tables)) {
    const columns = namesIn(old, `SELECT name FROM pragma_table_info('${table}')`).join(', ')
    old.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM new.${table}`)
  }
  old.exec(`DELETE FROM kysely_migration WHERE name > '${last}';
    INSERT INTO repositories (name, created_at) VALUES ('filler', 0);
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ${fillerRows})
    INSERT INTO blobs (digest, size, created_at) SELECT printf('sha256:%064x', n), 1, 0 FROM number;
    INSERT INTO repository_blobs (repository_id, digest, created_at)
    SELECT (SELECT id FROM repositories WHERE name = 'filler'), digest, 0 FROM blobs WHERE size = 1`)
  old.close()
}

/** Of a copy, as opening it puts it in order. */
async function stateOf(data: string, copy: string): Promise<{ applied: string[]; schema: string }> {
  await cp(data, copy, { recursive: true })
  const database = new DatabaseSync(join(copy, 'metadata.db'))
  const check = database.prepare('PRAGMA integrity_check').get()
  assert.equal(check?.['integrity_check'], 'ok')
  const applied = namesIn(database, 'SELECT name FROM kysely_migration ORDER BY 1')
  const schema = namesIn(database, 'SELECT sql AS name FROM sqlite_schema ORDER BY name').join('\n')
  database.close()
  return { applied, schema }
}

/** When the migration has written so much, which it does before its end if it does not fit into memory. */
async function killInMigration(directory: string, bytes: number): Promise<void> {
  const running = startTrow(['serve', '--bind', '127.0.0.1:0', '--data-dir', directory])
  while (sizeOf(join(directory, 'metadata.db-wal')) <= bytes) await setImmediate()
  running.signal('SIGKILL')
  assert.equal((await running.result).code, null)
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

describe('a server that is killed in a migration', () => {
  let temporary: TemporaryDirectory
  let made: string

  before(async () => {
    temporary = await temporaryDirectory()
    made = join(temporary.path, 'made')
    await using registry = await startRegistry({ dataDirectory: made })
    await registry.push('team/app', 'v1', image)
  })
  after(() => temporary[Symbol.asyncDispose]())

  for (const last of Object.keys(migrations) as (keyof typeof migrations)[]) {
    test(`from ${last} has the database of before, and everything when it starts again`, async () => {
      const directory = join(temporary.path, last)
      await cp(made, directory, { recursive: true })
      const database = join(directory, 'metadata.db')
      await makeOlder(database, last)
      const before = await stateOf(directory, `${directory}-before`)
      assert.equal(before.applied.at(-1), last)

      let kills = 0
      for (let index = 0; index < killsAfterBytes.length || kills === 0; index += 1) {
        assert.ok(index < triesMax, 'each time it was through before it could be killed')
        const bytes = killsAfterBytes[index] ?? 0
        const killed = `${directory}-${index}`
        await cp(directory, killed, { recursive: true })
        await killInMigration(killed, bytes)
        const found = await stateOf(killed, `${killed}-looked-at`)
        const isThrough = found.applied.length === Object.keys(migrations).length + 1
        if (isThrough) continue
        assert.deepEqual(found, before)
        kills += 1
      }

      await using registry = await startRegistry({ dataDirectory: `${directory}-0` })
      for (const { digest, bytes } of [...image.manifests, ...image.blobs]) {
        const kind = image.blobs.some((blob) => blob.digest === digest) ? 'blobs' : 'manifests'
        const reply = await registry.request('GET', `/v2/team/app/${kind}/${digest}`)
        assert.ok(reply.body.equals(bytes), digest)
      }
      const tag = await registry.request('HEAD', '/v2/team/app/manifests/v1')
      assert.equal(tag.header('docker-content-digest'), image.root.digest)
      await registry.kill()
      const { applied } = await stateOf(registry.dataDirectory, `${directory}-after`)
      const all = await readdir(new URL('../../src/metadata/migrations', import.meta.url))
      assert.deepEqual(applied, all.map((name) => name.replace(/\.ts$/, '')).toSorted())
      const rows = new DatabaseSync(join(`${directory}-after`, 'metadata.db'))
      const { count } = rows.prepare('SELECT count(*) AS count FROM repository_blobs').get() ?? {}
      assert.ok(Number(count) >= fillerRows + image.blobs.length)
      rows.close()
    })
  }
})
