/**
 * When cached content was last used, so that what was not used for longest can be evicted: of a
 * manifest that was pulled from another registry, and of a blob of one that no manifest of its
 * repository refers to. What was pushed has no such time, and is never evicted.
 */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('manifests').addColumn('used_at', 'bigint').execute()
  await db.schema.alterTable('repository_blobs').addColumn('used_at', 'bigint').execute()
  await datesOfWhatIsCached(db)
  await db.schema
    .createIndex('manifests_by_use')
    .on('manifests')
    .columns(['used_at', 'repository_id', 'digest'])
    .where(sql.ref('used_at'), 'is not', null)
    .execute()
  await db.schema
    .createIndex('repository_blobs_by_use')
    .on('repository_blobs')
    .columns(['used_at', 'repository_id', 'digest'])
    .where(sql.ref('used_at'), 'is not', null)
    .execute()
  // Removing content: has any repository this as a manifest?
  await db.schema
    .createIndex('manifests_by_digest')
    .on('manifests')
    .columns(['digest', 'repository_id'])
    .execute()
}

/** Nobody noted uses until now: what came first is taken to be what was used first. */
async function datesOfWhatIsCached(db: Kysely<unknown>): Promise<void> {
  const cached = sql`select id from repositories where name >= 'f/' and name < 'f0'`
  await sql`update manifests set used_at = created_at where repository_id in (${cached})`.execute(
    db,
  )
  await sql`
    update repository_blobs set used_at = created_at
    where repository_id in (${cached}) and not exists (
      select 1 from manifest_references
      where manifest_references.repository_id = repository_blobs.repository_id
        and manifest_references.digest = repository_blobs.digest
    )`.execute(db)
}
