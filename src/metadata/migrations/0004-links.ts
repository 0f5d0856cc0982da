/**
 * Notes every change of a manifest, a tag or a repository's blob in the transaction that makes it, whatever query that is, so
 * that the links outside the database follow it after a crash as well. What is there already is noted.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('link_changes')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('repository_id', 'integer', (column) => column.notNull())
    .addColumn('reference', 'text', (column) => column.notNull())
    .execute()
  for (const [table, column] of [
    ['manifests', 'digest'],
    ['tags', 'name'],
    ['repository_blobs', 'digest'],
  ] as const) {
    await noteChanges(db, table, column)
    await sql`
      insert into link_changes (repository_id, reference)
      select repository_id, ${sql.ref(column)} from ${sql.table(table)}`.execute(db)
  }
}

/** Tags go with their manifest by a foreign key, which runs the trigger as well. */
async function noteChanges(db: Kysely<unknown>, table: string, column: string): Promise<void> {
  const watched: Readonly<Record<string, string>> = { manifests: 'media_type', tags: 'digest' }
  const update = watched[table]
  for (const [event, row] of [
    ['insert', 'new'],
    ...(update === undefined ? [] : [[`update of ${update}`, 'new'] as const]),
    ['delete', 'old'],
  ] as const) {
    const name = `note_${event.split(' ')[0]}_of_${table}`
    await sql`
      create trigger ${sql.ref(name)} after ${sql.raw(event)} on ${sql.table(table)}
      begin
        insert into link_changes (repository_id, reference)
        values (${sql.raw(`${row}.repository_id`)}, ${sql.raw(`${row}.${column}`)});
      end`.execute(db)
  }
}
