/**
 * Names of repositories that are gone, beside the changes that are still noted of them: their links have to be told as
 * gone, or a database that is made anew would bring the repository back.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('link_changes').addColumn('deleted_repository', 'text').execute()
  await sql`
    create trigger name_deleted_repository before delete on repositories
    begin
      update link_changes set deleted_repository = old.name where repository_id = old.id;
    end`.execute(db)
}
