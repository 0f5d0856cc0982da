/**
 * Queries about cached content, which is what repositories named `f/...` have: when it was used and
 * how much of it there is. Invariant: only what is cached has a time of use (`used_at`): manifests,
 * and blobs that no manifest of their repository refers to. Nothing that was pushed has one.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Expression, ExpressionBuilder, SqlBool, Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Evictable, EvictablePage, ManifestUse } from '../../registry/ports/cache-metadata.ts'
import type { Schema } from '../schema.ts'
import { type Executor, findRepositoryId } from './repositories.ts'

/** Names of cached repositories are from the first of these up to the second, which is none. */
const cachedNames = ['f/', 'f0'] as const

/** Blobs that are measured in one query: a few milliseconds, in which nobody else is served. */
const blobsPerMeasurement = 2_000

/** Values that are bound to one statement: SQLite takes at most 32,766. */
const digestsPerStatement = 5_000

export function isCached(repository: RepositoryName): boolean {
  return repository.startsWith(cachedNames[0])
}

/**
 * Manifests and, of cached indexes, the children that are there: who has the index may want them next.
 * Of what was pushed it is a pull.
 */
export async function touchManifests(
  db: Transaction<Schema>,
  uses: readonly ManifestUse[],
): Promise<void> {
  for (const { repository, digest, usedAt } of uses) {
    const repositoryId = await findRepositoryId(db, repository)
    if (repositoryId === undefined) continue
    const children = await db
      .selectFrom('manifest_references')
      .select('digest')
      .where('repository_id', '=', repositoryId)
      .where('manifest', '=', digest)
      .where('kind', '=', 'manifest')
      .execute()
    for (const digests of batches([digest, ...children.map((child) => child.digest)])) {
      await db
        .updateTable('manifests')
        .set({ used_at: usedAt })
        .where('repository_id', '=', repositoryId)
        .where('digest', 'in', digests)
        .where('used_at', '<', usedAt)
        .execute()
    }
    await db
      .updateTable('manifests')
      .set({ pulled_at: usedAt })
      .where('repository_id', '=', repositoryId)
      .where('digest', '=', digest)
      .where('used_at', 'is', null)
      .where((where) => where.or([where('pulled_at', 'is', null), where('pulled_at', '<', usedAt)]))
      .execute()
  }
}

/** Notes which of these blobs of a cached repository no manifest refers to (any more). */
export async function noteLooseBlobs(
  db: Transaction<Schema>,
  repositoryId: number,
  digests: readonly string[],
  now: number,
): Promise<void> {
  for (const batch of batches(digests)) {
    const blobs = db
      .updateTable('repository_blobs')
      .where('repository_id', '=', repositoryId)
      .where('digest', 'in', batch)
    await blobs
      .set({ used_at: null })
      .where('used_at', 'is not', null)
      .where((where) => where.exists(referencesTo(where)))
      .execute()
    await blobs
      .set({ used_at: now })
      .where('used_at', 'is', null)
      .where((where) => where.not(where.exists(referencesTo(where))))
      .execute()
  }
}

export async function findManifestWithBlob(
  db: Executor,
  repository: RepositoryName,
  blob: Digest,
): Promise<Digest | undefined> {
  const row = await db
    .selectFrom('repositories')
    .innerJoin('manifest_references', 'manifest_references.repository_id', 'repositories.id')
    .where('repositories.name', '=', repository)
    .where('manifest_references.digest', '=', blob)
    .where('manifest_references.kind', '=', 'blob')
    .select('manifest_references.manifest')
    .executeTakeFirst()
  return row?.manifest as Digest | undefined
}

/** All that a manifest refers to. */
export async function referencesOf(
  db: Executor,
  repositoryId: number,
  manifest: Digest,
): Promise<string[]> {
  const rows = await db
    .selectFrom('manifest_references')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .where('manifest', '=', manifest)
    .execute()
  return rows.map((row) => row.digest)
}

/** Of manifests of the same repository, to a blob. */
export function referencesTo(where: ExpressionBuilder<Schema, 'repository_blobs'>) {
  return where
    .selectFrom('manifest_references')
    .select('manifest_references.digest')
    .whereRef('manifest_references.repository_id', '=', 'repository_blobs.repository_id')
    .whereRef('manifest_references.digest', '=', 'repository_blobs.digest')
}

export function batches<T>(values: readonly T[]): T[][] {
  const count = Math.ceil(values.length / digestsPerStatement)
  return Array.from({ length: count }, (_, index) =>
    values.slice(index * digestsPerStatement, (index + 1) * digestsPerStatement),
  )
}

/** Bytes of content that cached repositories have and no other one does; each counted once. */
export async function measureCache(db: Executor): Promise<number> {
  let total = 0
  let after = ''
  for (;;) {
    const last = await db
      .selectFrom('blobs')
      .select('digest')
      .where('digest', '>', after)
      .orderBy('digest')
      .limit(1)
      .offset(blobsPerMeasurement - 1)
      .executeTakeFirst()
    let part = db
      .selectFrom('blobs')
      .select((select) => select.fn.sum<number | null>('size').as('bytes'))
      .where('digest', '>', after)
      .where((where) => where.or(holders.map((table) => isCachedIn(where, table))))
      .where((where) => where.not(where.or(holders.map((table) => isPushedIn(where, table)))))
    if (last !== undefined) part = part.where('digest', '<=', last.digest)
    const row = await part.executeTakeFirstOrThrow()
    total += row.bytes ?? 0
    if (last === undefined) return total
    after = last.digest
    await nextTurn()
  }
}

export const holders = ['repository_blobs', 'manifests'] as const
type Holder = (typeof holders)[number]
type BlobsWhere = ExpressionBuilder<Schema, 'blobs'>

/** Whether a cached repository has the blob. */
function isCachedIn(where: BlobsWhere, table: Holder): Expression<SqlBool> {
  return where.exists(
    repositoriesWith(where, table)
      .where('repositories.name', '>=', cachedNames[0])
      .where('repositories.name', '<', cachedNames[1]),
  )
}

/** Whether another repository has it. */
function isPushedIn(where: BlobsWhere, table: Holder): Expression<SqlBool> {
  return where.exists(repositoriesWith(where, table).where(isPushedName))
}

/** Whether a repository is no cached one. */
export function isPushedName(
  where: ExpressionBuilder<Pick<Schema, 'repositories'>, 'repositories'>,
): Expression<SqlBool> {
  return where.or([
    where('repositories.name', '<', cachedNames[0]),
    where('repositories.name', '>=', cachedNames[1]),
  ])
}

function repositoriesWith(where: BlobsWhere, table: Holder) {
  return holdersOf(where, table).innerJoin('repositories', 'repositories.id', 'held.repository_id')
}

/** Rows of who has the blob. Both tables have the columns that are asked for. */
export function holdersOf(where: BlobsWhere, table: Holder) {
  return where
    .selectFrom(`${table} as held` as 'manifests as held')
    .select('held.digest')
    .whereRef('held.digest', '=', 'blobs.digest')
}

/** What was not used for longest first; blobs before the manifests of the same moment. */
export async function listEvictable(db: Executor, page: EvictablePage): Promise<Evictable[]> {
  const { limit, after } = page
  const repositoryId = after && (await findRepositoryId(db, after.repository))
  const position = after && { ...after, repositoryId: repositoryId ?? 0 }
  const blobs = await evictableIn(db, 'repository_blobs', limit, position).execute()
  const manifests = await evictableIn(db, 'manifests', limit, position).execute()
  const rows = [
    ...blobs.map((row) => ({ kind: 'blob' as const, ...row })),
    ...manifests.map((row) => ({ kind: 'manifest' as const, ...row })),
  ]
  const oldest = rows.toSorted((a, b) => a.usedAt - b.usedAt).slice(0, limit)
  const names = await namesOf(db, [...new Set(oldest.map((row) => row.repositoryId))])
  return oldest.map(({ kind, repositoryId, digest, usedAt }) => ({
    kind,
    repository: names.get(repositoryId) as RepositoryName,
    digest: digest as Digest,
    usedAt,
  }))
}

async function namesOf(db: Executor, ids: readonly number[]): Promise<Map<number, string>> {
  if (ids.length === 0) return new Map()
  const rows = await db
    .selectFrom('repositories')
    .select(['id', 'name'])
    .where('id', 'in', ids)
    .execute()
  return new Map(rows.map(({ id, name }) => [id, name]))
}

/** Where the page before ended. */
export interface Position extends Evictable {
  readonly repositoryId: number
}

/** Reads as many rows as it answers: both tables have an index of just what can be evicted. */
export function evictableIn(
  db: Executor,
  table: Holder,
  limit: number,
  after: Position | undefined,
) {
  const query = db
    .selectFrom(table)
    .select(['repository_id as repositoryId', 'digest'])
    .select((select) => select.ref('used_at').$notNull().as('usedAt'))
    .where('used_at', 'is not', null)
    .orderBy('used_at')
    .orderBy('repository_id')
    .orderBy('digest')
    .limit(limit)
  if (after === undefined) return query
  if (kindOf[table] !== after.kind) {
    return query.where('used_at', table === 'manifests' ? '>=' : '>', after.usedAt)
  }
  return query.where((where) =>
    where(
      where.refTuple('used_at', 'repository_id', 'digest'),
      '>',
      where.tuple(after.usedAt, after.repositoryId, after.digest as string),
    ),
  )
}

const kindOf = { repository_blobs: 'blob', manifests: 'manifest' } as const
