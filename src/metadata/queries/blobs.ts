/** Queries about blobs: which content there is, and which repository has which of it. */
import type { DeleteResult as DeletedRows, Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { DeleteResult } from '../../registry/ports/metadata-store.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import type { Schema } from '../schema.ts'
import { isCached, noteLooseBlobs } from './cache.ts'
import { prepared, type Values } from './prepared.ts'
import { ensureRepository, type Executor, findRepositoryId } from './repositories.ts'

const sizeOf = prepared<{ repository: string; digest: string }, { size: number }>((db, of) =>
  db
    .selectFrom('repositories')
    .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select('blobs.size')
    .where('repositories.name', '=', of.repository)
    .where('repository_blobs.digest', '=', of.digest),
)

export async function findBlob(
  db: Executor,
  repository: RepositoryName,
  digest: Digest,
): Promise<BlobRecord | undefined> {
  const [row] = (await sizeOf(db, { repository, digest })).rows
  return row && { digest, size: row.size }
}

const storing = prepared<{ digest: string; size: number; now: number }, unknown>(
  (db, { digest, size, now }) =>
    db
      .insertInto('blobs')
      .values({ digest, size, created_at: now })
      .onConflict((conflict) =>
        conflict.column('digest').doUpdateSet({ size }).where('blobs.size', '<>', size),
      ),
)

/**
 * Says that content is stored, after its digest was verified: a size that a rebuild of the database took
 * of a damaged file is put right.
 */
export async function insertContent(
  db: Transaction<Schema>,
  content: BlobRecord,
  now: number,
): Promise<void> {
  const { digest, size } = content
  await storing(db, { digest, size, now })
}

interface Link extends Values {
  readonly repositoryId: number
  readonly digest: string
  readonly now: number
}

const linking = prepared<Link, unknown>((db, { repositoryId, digest, now }) =>
  db
    .insertInto('repository_blobs')
    .values({ repository_id: repositoryId, digest, created_at: now, used_at: null, asked_at: now })
    .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doNothing()),
)

const asking = prepared<Link, unknown>((db, { repositoryId, digest, now }) =>
  db
    .updateTable('repository_blobs')
    .set({ asked_at: now })
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest),
)

export async function linkBlob(
  db: Transaction<Schema>,
  repository: RepositoryName,
  digest: Digest,
  now: number,
): Promise<void> {
  const repositoryId = await ensureRepository(db, repository, now)
  const { numAffectedRows: inserted = 0n } = await linking(db, { repositoryId, digest, now })
  const isNew = inserted > 0n
  if (!isNew) await touchBlob(db, repositoryId, digest, now)
  else if (isCached(repository)) await noteLooseBlobs(db, repositoryId, [digest], now)
}

/** Who puts it or is told that it is there is about to need it. @returns whether there is such a row. */
export async function touchBlob(
  db: Executor,
  repositoryId: number,
  digest: Digest,
  now: number,
): Promise<boolean> {
  const { numAffectedRows = 0n } = await asking(db, { repositoryId, digest, now })
  return numAffectedRows > 0n
}

export async function findRepositoriesWithBlob(
  db: Executor,
  digest: Digest,
  limit: number,
): Promise<RepositoryName[]> {
  const rows = await db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .select('repositories.name')
    .where('repository_blobs.digest', '=', digest)
    .orderBy('repository_blobs.repository_id')
    .limit(limit)
    .execute()
  return rows.map((row) => row.name as RepositoryName)
}

/** Takes the blob from the repository, unless one of its manifests needs it. */
export async function unlinkBlob(
  db: Transaction<Schema>,
  repository: RepositoryName,
  digest: Digest,
): Promise<DeleteResult> {
  return deleteUnlessNeeded(db, { repository, digest, kind: 'blob' }, (repositoryId) =>
    db
      .deleteFrom('repository_blobs')
      .where('repository_id', '=', repositoryId)
      .where('digest', '=', digest)
      .executeTakeFirst(),
  )
}

/** @param remove deletes the content of the repository that has this id. */
export async function deleteUnlessNeeded(
  db: Transaction<Schema>,
  content: { repository: RepositoryName; digest: Digest; kind: 'blob' | 'manifest' },
  remove: (repositoryId: number) => Promise<DeletedRows>,
): Promise<DeleteResult> {
  const repositoryId = await findRepositoryId(db, content.repository)
  if (repositoryId === undefined) return { outcome: 'unknown' }
  const by = await findReferringManifest(db, repositoryId, content.digest, content.kind)
  if (by !== undefined) return { outcome: 'needed', by }
  const { numDeletedRows } = await remove(repositoryId)
  return { outcome: numDeletedRows > 0n ? 'deleted' : 'unknown' }
}

async function findReferringManifest(
  db: Executor,
  repositoryId: number,
  digest: Digest,
  kind: 'blob' | 'manifest',
): Promise<Digest | undefined> {
  const row = await db
    .selectFrom('manifest_references')
    .select('manifest')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('kind', '=', kind)
    .limit(1)
    .executeTakeFirst()
  return row && (row.manifest as Digest)
}

/** Which of `digests` the repository does not have as blobs. */
export async function missingBlobs(
  db: Executor,
  repositoryId: number | undefined,
  digests: readonly Digest[],
): Promise<Digest[]> {
  if (repositoryId === undefined || digests.length === 0) return [...digests]
  const rows = await db
    .selectFrom('repository_blobs')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .where('digest', 'in', digests)
    .execute()
  const found = new Set(rows.map((row) => row.digest))
  return digests.filter((digest) => !found.has(digest))
}
