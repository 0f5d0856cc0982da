/** Repositories and what they hold, upload sessions. */
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await repositoriesAndBlobs(db)
  await manifests(db)
  await tagsAndUploads(db)
}

async function repositoriesAndBlobs(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('repositories')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('blobs')
    .addColumn('digest', 'text', (column) => column.primaryKey())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('repository_blobs')
    .addColumn('repository_id', 'integer', (column) =>
      column.notNull().references('repositories.id'),
    )
    .addColumn('digest', 'text', (column) => column.notNull().references('blobs.digest'))
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('repository_blobs_key', ['repository_id', 'digest'])
    .execute()
  // Anonymous mount: who has this blob?
  await db.schema
    .createIndex('repository_blobs_by_digest')
    .on('repository_blobs')
    .columns(['digest', 'repository_id'])
    .execute()
}

async function manifests(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('manifests')
    .addColumn('repository_id', 'integer', (column) =>
      column.notNull().references('repositories.id'),
    )
    .addColumn('digest', 'text', (column) => column.notNull().references('blobs.digest'))
    .addColumn('media_type', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('artifact_type', 'text')
    .addColumn('subject', 'text')
    .addColumn('annotations', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('manifests_key', ['repository_id', 'digest'])
    .execute()
  await db.schema
    .createIndex('manifests_by_subject')
    .on('manifests')
    .columns(['repository_id', 'subject', 'digest'])
    .where(sql.ref('subject'), 'is not', null)
    .execute()
  await db.schema
    .createTable('manifest_references')
    .addColumn('repository_id', 'integer', (column) => column.notNull())
    .addColumn('manifest', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('manifest_references_key', ['repository_id', 'manifest', 'digest'])
    .addForeignKeyConstraint(
      'manifest_references_manifest',
      ['repository_id', 'manifest'],
      'manifests',
      ['repository_id', 'digest'],
      (constraint) => constraint.onDelete('cascade'),
    )
    .execute()
  // Deleting: does a manifest of this repository need this content?
  await db.schema
    .createIndex('manifest_references_by_digest')
    .on('manifest_references')
    .columns(['repository_id', 'digest', 'kind'])
    .execute()
}

async function tagsAndUploads(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tags')
    .addColumn('repository_id', 'integer', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('tags_key', ['repository_id', 'name'])
    .addForeignKeyConstraint(
      'tags_manifest',
      ['repository_id', 'digest'],
      'manifests',
      ['repository_id', 'digest'],
      (constraint) => constraint.onDelete('cascade'),
    )
    .execute()
  await db.schema
    .createIndex('tags_by_digest')
    .on('tags')
    .columns(['repository_id', 'digest'])
    .execute()
  await db.schema
    .createTable('uploads')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('algorithm', 'text', (column) => column.notNull())
    .addColumn('offset', 'bigint', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('uploads_by_update')
    .on('uploads')
    .columns(['updated_at', 'id'])
    .execute()
}
