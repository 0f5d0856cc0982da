/** What is noted of changes to links, and dropping it. */
import { sql, type Transaction } from 'kysely'
import type { Reference } from '../../oci/reference.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { LinkChange } from '../../registry/ports/link-metadata.ts'
import type { Schema } from '../schema.ts'
import type { Executor } from './repositories.ts'

export async function lastLinkChange(db: Executor): Promise<number> {
  const row = await db
    .selectFrom('link_changes')
    .select((select) => select.fn.max('id').as('id'))
    .executeTakeFirst()
  return row?.id ?? 0
}

export async function listLinkChanges(
  db: Executor,
  page: { readonly after: number; readonly upTo: number; readonly limit: number },
): Promise<LinkChange[]> {
  const rows = await db
    .selectFrom('link_changes')
    .leftJoin('repositories', 'repositories.id', 'link_changes.repository_id')
    .select(['link_changes.id', 'link_changes.reference'])
    .select((select) =>
      select.fn.coalesce('repositories.name', 'link_changes.deleted_repository').as('name'),
    )
    .where((where) =>
      where.or([
        where('repositories.name', 'is not', null),
        where('link_changes.deleted_repository', 'is not', null),
      ]),
    )
    .where('link_changes.id', '>', page.after)
    .where('link_changes.id', '<=', page.upTo)
    .orderBy('link_changes.id')
    .limit(page.limit)
    .execute()
  return rows.map(({ id, name, reference }) => ({
    id,
    repository: name as RepositoryName,
    reference: reference as Reference,
  }))
}

/** @returns whether there are more. */
export async function forgetLinkChanges(
  db: Transaction<Schema>,
  { upTo, limit }: { readonly upTo: number; readonly limit: number },
): Promise<boolean> {
  const next = await db
    .selectFrom('link_changes')
    .select('id')
    .where('id', '<=', upTo)
    .orderBy('id')
    .offset(limit)
    .limit(1)
    .executeTakeFirst()
  const forgotten = db.deleteFrom('link_changes')
  if (next === undefined) await forgotten.where('id', '<=', upTo).execute()
  else await forgotten.where('id', '<', next.id).execute()
  return next !== undefined
}

export async function noteAllLinks(db: Transaction<Schema>): Promise<void> {
  await sql`
    insert into link_changes (repository_id, reference)
    select repository_id, digest from manifests
    union all select repository_id, name from tags
    union all select repository_id, digest from repository_blobs`.execute(db)
}
