/**
 * Deleting an image as a whole: its tags, its manifest, and those that are only there because of it: the
 * children of an index, the referrers of a subject. Invariant: nothing goes that a tag points at, that an
 * index lists, or whose subject is still there.
 */
import { type ExpressionBuilder, type Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type {
  ImageDeletion,
  ImageDeletionResult,
} from '../../registry/ports/collection-metadata.ts'
import type { Schema } from '../schema.ts'
import { batches } from './cache.ts'
import { type Executor, findRepositoryId } from './repositories.ts'

type ManifestsWhere = ExpressionBuilder<Schema, 'manifests'>

/** What is there because of this manifest: its children, and its referrers. */
export async function dependentsOf(
  db: Executor,
  repositoryId: number,
  digest: string,
): Promise<string[]> {
  const children = await db
    .selectFrom('manifest_references')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .where('manifest', '=', digest)
    .where('kind', '=', 'manifest')
    .execute()
  const referrers = await db
    .selectFrom('manifests')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .where('subject', '=', digest)
    .execute()
  return [...children, ...referrers].map((row) => row.digest)
}

/** Tags that point at the manifest. */
export async function tagsOf(
  db: Executor,
  repository: RepositoryName,
  digest: Digest,
): Promise<Tag[]> {
  const rows = await db
    .selectFrom('tags')
    .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
    .select('tags.name')
    .where('repositories.name', '=', repository)
    .where('tags.digest', '=', digest)
    .orderBy('tags.name')
    .execute()
  return rows.map((row) => row.name as Tag)
}

/** Notes that something let go of these, so that they are not old at once. */
export async function releaseManifests(
  db: Transaction<Schema>,
  repositoryId: number,
  digests: readonly string[],
  now: number,
): Promise<void> {
  for (const batch of batches(digests)) {
    await db
      .updateTable('manifests')
      .set({ released_at: now })
      .where('repository_id', '=', repositoryId)
      .where('digest', 'in', batch)
      .execute()
  }
}

/** Whether no tag, index or subject holds the manifest. */
export function isUnheld(where: ManifestsWhere) {
  const tags = where
    .selectFrom('tags')
    .select('tags.name')
    .whereRef('tags.repository_id', '=', 'manifests.repository_id')
    .whereRef('tags.digest', '=', 'manifests.digest')
  const indexes = where
    .selectFrom('manifest_references')
    .select('manifest_references.digest')
    .whereRef('manifest_references.repository_id', '=', 'manifests.repository_id')
    .whereRef('manifest_references.digest', '=', 'manifests.digest')
    .where('manifest_references.kind', '=', 'manifest')
  return where.not(
    where.or([where.exists(tags), where.exists(indexes), where.exists(subjectOf(where))]),
  )
}

/** The manifest that another one is attached to, if it is there. */
function subjectOf(where: ManifestsWhere) {
  return where
    .selectFrom('manifests as subjects')
    .select('subjects.digest')
    .whereRef('subjects.repository_id', '=', 'manifests.repository_id')
    .whereRef('subjects.digest', '=', 'manifests.subject')
}

/** Undoes what was done so far. */
class Undone extends Error {
  readonly result: ImageDeletionResult

  constructor(result: ImageDeletionResult) {
    super('undone')
    this.result = result
  }
}

/** @param transact runs a transaction, which an error undoes. */
export async function deleteImage(
  transact: <T>(work: (db: Transaction<Schema>) => Promise<T>) => Promise<T>,
  deletion: ImageDeletion,
  now: number,
): Promise<ImageDeletionResult> {
  try {
    return await transact((db) => deleteImageIn(db, deletion, now))
  } catch (error) {
    if (error instanceof Undone) return error.result
    throw error
  }
}

async function deleteImageIn(
  db: Transaction<Schema>,
  deletion: ImageDeletion,
  now: number,
): Promise<ImageDeletionResult> {
  const { repository, digest, dryRun = false } = deletion
  const repositoryId = await findRepositoryId(db, repository)
  if (repositoryId === undefined) return { outcome: 'unknown' }
  const tags = await deleteTags(db, repositoryId, deletion)
  if (deletion.whole === true) await detach(db, repositoryId, digest)
  const manifests: Digest[] = []
  const left = [digest as string]
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const dependents = await dependentsOf(db, repositoryId, next)
    if (!(await deleteUnheld(db, repositoryId, next as Digest, deletion))) continue
    manifests.push(next as Digest)
    left.push(...dependents)
  }
  if (deletion.whole === true && manifests.length === 0) {
    throw new Undone({ outcome: 'needed', digest })
  }
  const isNothing = tags.length === 0 && manifests.length === 0
  if (isNothing) return { outcome: 'unknown' }
  if (manifests.length === 0) await releaseManifests(db, repositoryId, [digest], now)
  const result = { outcome: 'deleted', tags, manifests } as const
  if (dryRun) throw new Undone(result)
  return result
}

/** From its subject, so that it does not stay because of that. It goes in this transaction, or not at all. */
async function detach(
  db: Transaction<Schema>,
  repositoryId: number,
  digest: Digest,
): Promise<void> {
  await db
    .updateTable('manifests')
    .set({ subject: null })
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .execute()
}

async function deleteTags(
  db: Transaction<Schema>,
  repositoryId: number,
  { digest, tags }: ImageDeletion,
): Promise<Tag[]> {
  if (tags.length === 0) return []
  const rows = await db
    .deleteFrom('tags')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('name', 'in', tags)
    .returning('name')
    .execute()
  return rows.map((row) => row.name as Tag)
}

/** @returns whether it went. @throws Undone when somebody asked for it not long ago. */
async function deleteUnheld(
  db: Transaction<Schema>,
  repositoryId: number,
  digest: Digest,
  { askedBefore, isAsked }: ImageDeletion,
): Promise<boolean> {
  const row = await db
    .selectFrom('manifests')
    .select(['created_at as createdAt', 'pulled_at as pulledAt'])
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('used_at', 'is', null)
    .where(isUnheld)
    .executeTakeFirst()
  if (row === undefined) return false
  const asked = Math.max(row.createdAt, row.pulledAt ?? 0)
  if (askedBefore !== undefined && (asked >= askedBefore || isAsked?.(digest) === true)) {
    throw new Undone({ outcome: 'asked', digest })
  }
  await db
    .deleteFrom('manifests')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .execute()
  return true
}

/** Deletes so much of a repository, manifests first, and its name last. @returns whether it is gone. */
export async function deleteRepositoryPart(
  db: Transaction<Schema>,
  repository: RepositoryName,
  rows: number,
): Promise<{ isGone: boolean; manifests: number; blobs: number }> {
  const repositoryId = await findRepositoryId(db, repository)
  if (repositoryId === undefined) return { isGone: true, manifests: 0, blobs: 0 }
  const take = async (table: 'manifests' | 'repository_blobs'): Promise<number> => {
    const some = db
      .selectFrom(table)
      .select('digest')
      .where('repository_id', '=', repositoryId)
      .limit(rows)
    const { numDeletedRows } = await db
      .deleteFrom(table)
      .where('repository_id', '=', repositoryId)
      .where('digest', 'in', some)
      .executeTakeFirst()
    return Number(numDeletedRows)
  }
  const manifests = await take('manifests')
  if (manifests > 0) return { isGone: false, manifests, blobs: 0 }
  const blobs = await take('repository_blobs')
  if (blobs > 0) return { isGone: false, manifests: 0, blobs }
  await db.deleteFrom('repositories').where('id', '=', repositoryId).execute()
  return { isGone: true, manifests: 0, blobs: 0 }
}

/** How much there is of a repository. */
export async function countRepository(
  db: Executor,
  repository: RepositoryName,
): Promise<{ tags: number; manifests: number; blobs: number } | undefined> {
  const repositoryId = await findRepositoryId(db, repository)
  if (repositoryId === undefined) return undefined
  const count = async (table: 'tags' | 'manifests' | 'repository_blobs'): Promise<number> => {
    const row = await db
      .selectFrom(table)
      .select((select) => select.fn.countAll<number>().as('count'))
      .where('repository_id', '=', repositoryId)
      .executeTakeFirstOrThrow()
    return row.count
  }
  return {
    tags: await count('tags'),
    manifests: await count('manifests'),
    blobs: await count('repository_blobs'),
  }
}
