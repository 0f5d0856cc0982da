/**
 * Brings a database to the newest schema, once and in one transaction, and refuses one that a newer version of Trow wrote.
 * Migrations are numbered and are never changed after a release.
 */
import type { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { StartError } from '../lib/start-error.ts'
import * as content from './migrations/0001-content.ts'
import * as cacheUse from './migrations/0002-cache-use.ts'
import * as collection from './migrations/0003-collection.ts'
import * as links from './migrations/0004-links.ts'
import * as deletedRepositories from './migrations/0005-deleted-repositories.ts'
import type { Schema } from './schema.ts'

const migrations = {
  '0001-content': content,
  '0002-cache-use': cacheUse,
  '0003-collection': collection,
  '0004-links': links,
  '0005-deleted-repositories': deletedRepositories,
}

/**
 * @param beforeNew asked before the first table is made; what it throws keeps it from that.
 * @throws StartError when the database is newer than this program, or cannot be brought up.
 */
export async function migrate(
  db: Kysely<Schema>,
  place: string,
  beforeNew: () => Promise<void>,
): Promise<void> {
  const provider = { getMigrations: () => Promise.resolve(migrations) }
  const migrator = new Migrator({ db, provider })
  const applied = await appliedMigrations(db)
  if (applied.length === 0) await beforeNew()
  const unknown = applied.filter((name) => !Object.hasOwn(migrations, name))
  if (unknown.length > 0) {
    throw new StartError(
      `${place} was written by a newer version of Trow (it has ${unknown.join(', ')}); ` +
        'nothing was changed: run the newer version, or restore a backup from before the upgrade',
    )
  }
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    throw new StartError(
      `${place} could not be brought to this version's schema: ${error instanceof Error ? error.message : 'unknown error'}`,
      {
        cause: error,
      },
    )
  }
}

async function appliedMigrations(db: Kysely<Schema>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === 'kysely_migration')) return []
  const applied = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .orderBy('name')
    .execute()
  return applied.map((row) => row.name)
}
