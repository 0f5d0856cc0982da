/**
 * Finding what nobody needs. Tables are read in parts, each a few milliseconds, in the order of their
 * keys; what was found is judged again in the transaction that forgets it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ExpressionBuilder, Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type {
  RepositoryBlob,
  RepositoryManifest,
  Scan,
  Scanned,
  ScannedTable,
  TagUse,
} from '../../registry/ports/collection-metadata.ts'
import type { PageRequest } from '../../registry/ports/metadata-store.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import type { Schema } from '../schema.ts'
import { batches, isPushedName, referencesTo } from './cache.ts'
import { isNobodys } from './eviction.ts'
import { isUnheld } from './images.ts'
import { type Executor, findRepositoryId } from './repositories.ts'
import { formatKey, isAfter, isUpTo, parseKey, type RowKey } from './row-key.ts'

/** @returns undefined when the repository has no such blob. */
export async function findAskedBlob(
  db: Executor,
  repository: RepositoryName,
  digest: Digest,
): Promise<AskedBlob | undefined> {
  return await db
    .selectFrom('repositories')
    .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select([
      'repositories.id as repositoryId',
      'blobs.size',
      'repository_blobs.asked_at as askedAt',
    ])
    .where('repositories.name', '=', repository)
    .where('repository_blobs.digest', '=', digest)
    .executeTakeFirst()
}

interface AskedBlob {
  readonly repositoryId: number
  readonly size: number
  readonly askedAt: number
}

export async function scanUnneededBlobs(
  db: Executor,
  before: number,
  { rows, after }: Scan,
): Promise<Scanned<RepositoryBlob>> {
  const start = after === undefined ? { repositoryId: 0, digest: '' } : parseKey(after)
  const end = await endOfPart(db, 'repository_blobs', start, rows)
  let query = db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select(['repositories.name', 'blobs.digest', 'blobs.size', 'repository_blobs.asked_at'])
    .where((where) => isAfter(where, 'repository_blobs', start))
    .where('repository_blobs.asked_at', '<', before)
    .where(isPushedName)
    .where((where) => where.not(where.exists(referencesTo(where))))
  if (end !== undefined) query = query.where((where) => isUpTo(where, 'repository_blobs', end))
  const found = await query.execute()
  return {
    rows,
    found: found.map(({ name, digest, size, asked_at: askedAt }) => ({
      repository: name as RepositoryName,
      digest: digest as Digest,
      size,
      askedAt,
    })),
    ...(end && { next: formatKey(end) }),
  }
}

/** @returns the last row of a part; undefined when the table ends within it. */
async function endOfPart(
  db: Executor,
  table: 'repository_blobs' | 'manifests',
  start: RowKey,
  rows: number,
): Promise<RowKey | undefined> {
  return await db
    .selectFrom(table)
    .select(['repository_id as repositoryId', 'digest'])
    .where((where) => isAfter(where, table, start))
    .orderBy('repository_id')
    .orderBy('digest')
    .limit(1)
    .offset(rows - 1)
    .executeTakeFirst()
}

export async function scanUntagged(
  db: Executor,
  before: number,
  { rows, after }: Scan,
): Promise<Scanned<RepositoryManifest>> {
  const start = after === undefined ? { repositoryId: 0, digest: '' } : parseKey(after)
  const end = await endOfPart(db, 'manifests', start, rows)
  let query = db
    .selectFrom('manifests')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .select(['repositories.name', 'manifests.digest'])
    .where((where) => isAfter(where, 'manifests', start))
    .where('manifests.created_at', '<', before)
    .where((where) => isOlder(where, 'pulled_at', before))
    .where((where) => isOlder(where, 'released_at', before))
    .where(isPushedName)
    .where(isUnheld)
  if (end !== undefined) query = query.where((where) => isUpTo(where, 'manifests', end))
  const found = await query.execute()
  return {
    rows,
    found: found.map(({ name, digest }) => ({
      repository: name as RepositoryName,
      digest: digest as Digest,
    })),
    ...(end && { next: formatKey(end) }),
  }
}

/** Whether it is so long ago, or never was. */
function isOlder(
  where: ExpressionBuilder<Schema, 'manifests'>,
  column: 'pulled_at' | 'released_at',
  before: number,
) {
  const name = `manifests.${column}` as const
  return where.or([where(name, 'is', null), where(name, '<', before)])
}

export async function listTagUses(
  db: Executor,
  repository: RepositoryName,
  page: PageRequest,
): Promise<TagUse[]> {
  const rows = await db
    .selectFrom('repositories')
    .innerJoin('tags', 'tags.repository_id', 'repositories.id')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.repository_id', '=', 'tags.repository_id')
        .onRef('manifests.digest', '=', 'tags.digest'),
    )
    .select(['tags.name', 'tags.digest', 'tags.updated_at as pushedAt'])
    .select('manifests.pulled_at as pulledAt')
    .where('repositories.name', '=', repository)
    .where('tags.name', '>', page.after ?? '')
    .orderBy('tags.name')
    .limit(page.limit)
    .execute()
  return rows.map(({ name, digest, pushedAt, pulledAt }) => ({
    tag: name as Tag,
    digest: digest as Digest,
    pushedAt,
    ...(pulledAt !== null && { pulledAt }),
  }))
}

export async function unlinkUnneededBlobs(
  db: Transaction<Schema>,
  blobs: readonly Pick<RepositoryBlob, 'repository' | 'digest'>[],
  before: number,
): Promise<number> {
  let unlinked = 0
  for (const [repository, own] of Map.groupBy(blobs, (blob) => blob.repository)) {
    const repositoryId = await findRepositoryId(db, repository)
    if (repositoryId === undefined) continue
    const { numDeletedRows } = await db
      .deleteFrom('repository_blobs')
      .where('repository_id', '=', repositoryId)
      .where(
        'digest',
        'in',
        own.map(({ digest }) => digest),
      )
      .where('asked_at', '<', before)
      .where((where) => where.not(where.exists(referencesTo(where))))
      .executeTakeFirst()
    unlinked += Number(numDeletedRows)
  }
  return unlinked
}

export async function scanNobodys(
  db: Executor,
  { rows, after = '' }: Scan,
): Promise<Scanned<BlobRecord>> {
  const end = await db
    .selectFrom('blobs')
    .select('digest')
    .where('digest', '>', after)
    .orderBy('digest')
    .limit(1)
    .offset(rows - 1)
    .executeTakeFirst()
  let query = db
    .selectFrom('blobs')
    .select(['digest', 'size'])
    .where('digest', '>', after)
    .where(isNobodys)
  if (end !== undefined) query = query.where('digest', '<=', end.digest)
  const found = await query.execute()
  return {
    rows,
    found: found.map(({ digest, size }) => ({ digest: digest as Digest, size })),
    ...(end && { next: end.digest }),
  }
}

export async function knownContent(db: Executor, digests: readonly Digest[]): Promise<Set<Digest>> {
  const known = new Set<Digest>()
  for (const batch of batches(digests)) {
    const rows = await db
      .selectFrom('blobs')
      .select('digest')
      .where('digest', 'in', batch)
      .execute()
    for (const { digest } of rows) known.add(digest as Digest)
  }
  return known
}

/** A hundredth of a second for each query, of a million blobs a second. */
const blobsPerMeasurement = 5_000

export async function measureContent(db: Executor): Promise<number> {
  const staged = await db
    .selectFrom('uploads')
    .select((select) => select.fn.sum<number | null>('offset').as('bytes'))
    .executeTakeFirstOrThrow()
  let total = staged.bytes ?? 0
  let after = ''
  for (;;) {
    const part = db
      .selectFrom('blobs')
      .select(['digest', 'size'])
      .where('digest', '>', after)
      .orderBy('digest')
      .limit(blobsPerMeasurement)
    const row = await db
      .selectFrom(part.as('part'))
      .select((select) => [
        select.fn.sum<number | null>('size').as('bytes'),
        select.fn.max<string | null>('digest').as('last'),
      ])
      .executeTakeFirstOrThrow()
    if (row.last === null) return total
    total += row.bytes ?? 0
    after = row.last
    await nextTurn()
  }
}

const tables = {
  'blobs of repositories': 'repository_blobs',
  manifests: 'manifests',
  blobs: 'blobs',
} as const satisfies Record<ScannedTable, keyof Schema>

export async function countRows(db: Executor, table: ScannedTable): Promise<number> {
  const row = await db
    .selectFrom(tables[table])
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return row.count
}
