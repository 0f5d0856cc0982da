/** What is noted of changes to links, and dropping it. */
import { sql, type Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
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
    .selectFrom('link_changes as change')
    .leftJoin('repositories as then', 'then.id', 'change.repository_id')
    // One of that name may be there again.
    .leftJoin('repositories', (join) =>
      join.on((on) =>
        on('repositories.name', '=', (then) =>
          then.fn.coalesce('then.name', 'change.deleted_repository'),
        ),
      ),
    )
    .leftJoin('tags', (join) =>
      join
        .onRef('tags.repository_id', '=', 'repositories.id')
        .onRef('tags.name', '=', 'change.reference'),
    )
    .leftJoin('manifests', (join) =>
      join
        .onRef('manifests.repository_id', '=', 'repositories.id')
        .on((on) =>
          on('manifests.digest', '=', (of) => of.fn.coalesce('tags.digest', 'change.reference')),
        ),
    )
    .leftJoin('repository_blobs', (join) =>
      join
        .onRef('repository_blobs.repository_id', '=', 'repositories.id')
        .onRef('repository_blobs.digest', '=', 'change.reference'),
    )
    .select(['change.id', 'change.reference', 'manifests.media_type as mediaType'])
    .select((select) => [
      select.fn.coalesce('then.name', 'change.deleted_repository').as('repository'),
      select.fn.coalesce('manifests.digest', 'repository_blobs.digest').as('digest'),
    ])
    .where((where) =>
      where.or([
        where('then.name', 'is not', null),
        where('change.deleted_repository', 'is not', null),
      ]),
    )
    .where('change.id', '>', page.after)
    .where('change.id', '<=', page.upTo)
    .orderBy('change.id')
    .limit(page.limit)
    .execute()
  return rows.map(({ id, repository, reference, digest, mediaType }) => {
    const link = { repository: repository as RepositoryName, reference: reference as Reference }
    if (digest === null) return { id, entry: link }
    return { id, entry: { ...link, digest: digest as Digest, mediaType: mediaType ?? '' } }
  })
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
