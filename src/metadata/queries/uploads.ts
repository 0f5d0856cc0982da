/** Queries about upload sessions. */
import type { Transaction } from 'kysely'
import type { DigestAlgorithm } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { UploadRecord } from '../../registry/ports/records.ts'
import type { UploadId } from '../../registry/ports/upload-store.ts'
import type { Schema, UploadRow } from '../schema.ts'
import { prepared } from './prepared.ts'
import type { Executor } from './repositories.ts'

const insertion = prepared<Omit<UploadRow, 'created_at'>, unknown>(
  (db, { id, repository, algorithm, offset, updated_at }) =>
    db
      .insertInto('uploads')
      .values({ id, repository, algorithm, offset, updated_at, created_at: updated_at }),
)

export async function insertUpload(db: Executor, upload: UploadRecord): Promise<void> {
  const { id, repository, algorithm, offset, updatedAt } = upload
  await insertion(db, { id, repository, algorithm, offset, updated_at: updatedAt })
}

const byRepositoryAndId = prepared<{ id: string; repository: string }, UploadRow>((db, of) =>
  db
    .selectFrom('uploads')
    .selectAll()
    .where('id', '=', of.id)
    .where('repository', '=', of.repository),
)

/** A session is only known under the repository it was started in. */
export async function findUpload(
  db: Executor,
  repository: RepositoryName,
  id: UploadId,
): Promise<UploadRecord | undefined> {
  const [row] = (await byRepositoryAndId(db, { id, repository })).rows
  return row && toRecord(row)
}

const progress = prepared<{ id: string; offset: number; now: number }, unknown>(
  (db, { id, offset, now }) =>
    db.updateTable('uploads').set({ offset, updated_at: now }).where('id', '=', id),
)

export async function setUploadOffset(
  db: Executor,
  id: UploadId,
  offset: number,
  now: number,
): Promise<void> {
  await progress(db, { id, offset, now })
}

const deletion = prepared<{ id: string }, unknown>((db, { id }) =>
  db.deleteFrom('uploads').where('id', '=', id),
)

export async function deleteUpload(
  db: Executor | Transaction<Schema>,
  id: UploadId,
): Promise<boolean> {
  const { numAffectedRows = 0n } = await deletion(db, { id })
  return numAffectedRows > 0n
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
