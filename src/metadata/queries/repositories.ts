/** Queries about repositories. A repository's row is made by the first content put under its name. */
import type { Kysely, Transaction } from 'kysely'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { PageRequest } from '../../registry/ports/metadata-store.ts'
import type { ContentCounts } from '../../registry/ports/records.ts'
import type { Schema } from '../schema.ts'
import { prepared } from './prepared.ts'

export type Executor = Kysely<Schema> | Transaction<Schema>

const byName = prepared<{ name: string }, { id: number }>((db, { name }) =>
  db.selectFrom('repositories').select('id').where('name', '=', name),
)

export async function findRepositoryId(
  db: Executor,
  repository: RepositoryName,
): Promise<number | undefined> {
  return (await byName(db, { name: repository })).rows[0]?.id
}

export async function ensureRepository(
  db: Transaction<Schema>,
  repository: RepositoryName,
  now: number,
): Promise<number> {
  const known = await findRepositoryId(db, repository)
  if (known !== undefined) return known
  await db
    .insertInto('repositories')
    .values({ name: repository, created_at: now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute()
  const row = await db
    .selectFrom('repositories')
    .select('id')
    .where('name', '=', repository)
    .executeTakeFirstOrThrow()
  return row.id
}

/** Whether the repository holds a manifest or a blob. */
export async function hasContent(db: Executor, repository: RepositoryName): Promise<boolean> {
  const row = await db
    .selectFrom('repositories')
    .select('id')
    .where('name', '=', repository)
    .where((where) =>
      where.or([
        where.exists(
          where
            .selectFrom('manifests')
            .select('manifests.digest')
            .whereRef('manifests.repository_id', '=', 'repositories.id'),
        ),
        where.exists(
          where
            .selectFrom('repository_blobs')
            .select('repository_blobs.digest')
            .whereRef('repository_blobs.repository_id', '=', 'repositories.id'),
        ),
      ]),
    )
    .executeTakeFirst()
  return row !== undefined
}

/** Repositories that hold a manifest, in the order of their names. */
export async function listRepositories(db: Executor, page: PageRequest): Promise<RepositoryName[]> {
  const rows = await db
    .selectFrom('repositories')
    .select('name')
    .where('name', '>', page.after ?? '')
    .where((where) =>
      where.exists(
        where
          .selectFrom('manifests')
          .select('manifests.digest')
          .whereRef('manifests.repository_id', '=', 'repositories.id'),
      ),
    )
    .orderBy('name')
    .limit(page.limit)
    .execute()
  return rows.map((row) => row.name as RepositoryName)
}

export async function countContent(db: Executor): Promise<ContentCounts> {
  const count = async (table: keyof Schema): Promise<number> => {
    const row = await db
      .selectFrom(table)
      .select((select) => select.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    return row.count
  }
  const stored = await db
    .selectFrom('blobs')
    .select((select) => select.fn.sum<number | null>('size').as('bytes'))
    .executeTakeFirstOrThrow()
  return {
    repositories: await count('repositories'),
    manifests: await count('manifests'),
    tags: await count('tags'),
    blobs: await count('blobs'),
    bytes: stored.bytes ?? 0,
    uploads: await count('uploads'),
  }
}
