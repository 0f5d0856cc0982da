/** Queries about upload sessions. */
import type { Transaction } from 'kysely'
import type { DigestAlgorithm } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { UploadRecord } from '../../registry/ports/records.ts'
import type { UploadId } from '../../registry/ports/upload-store.ts'
import type { Schema, UploadRow } from '../schema.ts'
import type { Executor } from './repositories.ts'

export async function insertUpload(db: Executor, upload: UploadRecord): Promise<void> {
  await db
    .insertInto('uploads')
    .values({
      id: upload.id,
      repository: upload.repository,
      algorithm: upload.algorithm,
      offset: upload.offset,
      created_at: upload.updatedAt,
      updated_at: upload.updatedAt,
    })
    .execute()
}

/** A session is only known under the repository it was started in. */
export async function findUpload(
  db: Executor,
  repository: RepositoryName,
  id: UploadId,
): Promise<UploadRecord | undefined> {
  const row = await db
    .selectFrom('uploads')
    .selectAll()
    .where('id', '=', id)
    .where('repository', '=', repository)
    .executeTakeFirst()
  return row && toRecord(row)
}

export async function setUploadOffset(
  db: Executor,
  id: UploadId,
  offset: number,
  now: number,
): Promise<void> {
  await db.updateTable('uploads').set({ offset, updated_at: now }).where('id', '=', id).execute()
}

export async function deleteUpload(
  db: Executor | Transaction<Schema>,
  id: UploadId,
): Promise<boolean> {
  const deleted = await db.deleteFrom('uploads').where('id', '=', id).executeTakeFirst()
  return deleted.numDeletedRows > 0n
}

export async function listIdleUploads(
  db: Executor,
  before: number,
  limit: number,
): Promise<UploadRecord[]> {
  const rows = await db
    .selectFrom('uploads')
    .selectAll()
    .where('updated_at', '<', before)
    .orderBy('updated_at')
    .limit(limit)
    .execute()
  return rows.map(toRecord)
}

export async function knownUploads(db: Executor, ids: readonly UploadId[]): Promise<Set<UploadId>> {
  if (ids.length === 0) return new Set()
  const rows = await db.selectFrom('uploads').select('id').where('id', 'in', ids).execute()
  return new Set(rows.map((row) => row.id as UploadId))
}

function toRecord(row: UploadRow): UploadRecord {
  return {
    id: row.id as UploadId,
    repository: row.repository as RepositoryName,
    algorithm: row.algorithm as DigestAlgorithm,
    offset: row.offset,
    updatedAt: row.updated_at,
  }
}
