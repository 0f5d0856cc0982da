/**
 * What garbage collection goes by: when a repository last got a blob or said that it has it, and when
 * a manifest was last pulled. What is there already counts as asked for now: nobody knows better. And
 * which bytes are to be removed, so that a crash leaves none of them behind.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const now = Date.now()
  await db.schema
    .alterTable('repository_blobs')
    .addColumn('asked_at', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute()
  await sql`update repository_blobs set asked_at = ${now}`.execute(db)
  await db.schema.alterTable('manifests').addColumn('pulled_at', 'bigint').execute()
  await db.schema.alterTable('manifests').addColumn('released_at', 'bigint').execute()
  await sql`update manifests set pulled_at = ${now}`.execute(db)
  await db.schema
    .createTable('removals')
    .addColumn('digest', 'text', (column) => column.primaryKey())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .execute()
}
