/** Queries about manifests, the tags that point at them and what refers to them. */
import type { Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import { isDigestReference, type Reference } from '../../oci/reference.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type {
  DeleteResult,
  PageRequest,
  PutManifestOptions,
} from '../../registry/ports/metadata-store.ts'
import type { ManifestEntry, ManifestRecord, Referrer } from '../../registry/ports/records.ts'
import type { ReferenceKind, Schema } from '../schema.ts'
import { deleteUnlessNeeded, insertContent, missingBlobs } from './blobs.ts'
import { isCached, noteLooseBlobs, referencesOf } from './cache.ts'
import { dependentsOf, releaseManifests, tagsOf } from './images.ts'
import { ensureRepository, type Executor, findRepositoryId } from './repositories.ts'

/** Rows per insert: SQLite binds at most 32,766 values to a statement. */
const referencesPerInsert = 5_000

export async function findManifest(
  db: Executor,
  repository: RepositoryName,
  reference: Reference,
): Promise<ManifestRecord | undefined> {
  const manifests = db
    .selectFrom('repositories')
    .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
    .where('repositories.name', '=', repository)
    .select(['manifests.digest', 'manifests.media_type', 'manifests.size'])
  const row = isDigestReference(reference)
    ? await manifests.where('manifests.digest', '=', reference).executeTakeFirst()
    : await manifests
        .innerJoin('tags', (join) =>
          join
            .onRef('tags.repository_id', '=', 'manifests.repository_id')
            .onRef('tags.digest', '=', 'manifests.digest'),
        )
        .where('tags.name', '=', reference)
        .executeTakeFirst()
  return row && { digest: row.digest as Digest, mediaType: row.media_type, size: row.size }
}

export async function putManifest(
  db: Transaction<Schema>,
  repository: RepositoryName,
  manifest: ManifestEntry,
  put: PutManifestOptions & { readonly tags: readonly Tag[]; readonly now: number },
): Promise<{ missing: Digest[]; fixed?: Tag }> {
  const missing = put.sparse ? [] : await findMissingContent(db, repository, manifest)
  if (missing.length > 0) return { missing }
  const fixed = await findFixed(db, repository, manifest.digest, put)
  if (fixed !== undefined) return { missing, fixed }

  const repositoryId = await ensureRepository(db, repository, put.now)
  const cached = isCached(repository)
  await insertContent(db, manifest, put.now)
  await upsertManifest(db, repositoryId, manifest, { now: put.now, cached })
  const before = cached ? await referencesOf(db, repositoryId, manifest.digest) : []
  await replaceReferences(db, repositoryId, manifest)
  if (cached) {
    const now = [...manifest.blobs, ...manifest.manifests, ...manifest.optionalBlobs]
    await noteLooseBlobs(db, repositoryId, [...new Set([...before, ...now])], put.now)
  }
  for (const tag of put.tags) {
    await upsertTag(db, { repositoryId, tag, digest: manifest.digest, now: put.now })
  }
  return { missing: [] }
}

/** A tag that points at another manifest, and must not move. */
async function findFixed(
  db: Executor,
  repository: RepositoryName,
  digest: Digest,
  { tags, isFixed = () => false }: PutManifestOptions & { readonly tags: readonly Tag[] },
): Promise<Tag | undefined> {
  for (const tag of tags.filter(isFixed)) {
    const known = await findManifest(db, repository, tag)
    if (known !== undefined && known.digest !== digest) return tag
  }
  return undefined
}

export async function findMissingContent(
  db: Executor,
  repository: RepositoryName,
  manifest: Pick<ManifestEntry, 'blobs' | 'manifests'>,
): Promise<Digest[]> {
  const repositoryId = await findRepositoryId(db, repository)
  return [
    ...(await missingBlobs(db, repositoryId, manifest.blobs)),
    ...(await missingManifests(db, repositoryId, manifest.manifests)),
  ]
}

async function missingManifests(
  db: Executor,
  repositoryId: number | undefined,
  digests: readonly Digest[],
): Promise<Digest[]> {
  if (repositoryId === undefined || digests.length === 0) return [...digests]
  const rows = await db
    .selectFrom('manifests')
    .select('digest')
    .where('repository_id', '=', repositoryId)
    .where('digest', 'in', digests)
    .execute()
  const found = new Set(rows.map((row) => row.digest))
  return digests.filter((digest) => !found.has(digest))
}

/** The same bytes may be pushed again under another Content-Type: the newest one counts. */
async function upsertManifest(
  db: Transaction<Schema>,
  repositoryId: number,
  manifest: ManifestEntry,
  put: { now: number; cached: boolean },
): Promise<void> {
  const described = {
    media_type: manifest.mediaType,
    artifact_type: manifest.artifactType ?? null,
    subject: manifest.subject ?? null,
    annotations: manifest.annotations ? JSON.stringify(manifest.annotations) : null,
    used_at: put.cached ? put.now : null,
  }
  await db
    .insertInto('manifests')
    .values({
      repository_id: repositoryId,
      digest: manifest.digest,
      size: manifest.size,
      created_at: put.now,
      ...described,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'digest'])
        .doUpdateSet({ ...described, created_at: put.now }),
    )
    .execute()
}

/** Under another Content-Type the same bytes may refer to other content than they did. */
async function replaceReferences(
  db: Transaction<Schema>,
  repositoryId: number,
  manifest: ManifestEntry,
): Promise<void> {
  await db
    .deleteFrom('manifest_references')
    .where('repository_id', '=', repositoryId)
    .where('manifest', '=', manifest.digest)
    .execute()
  const row = (digest: Digest, kind: ReferenceKind) => ({
    repository_id: repositoryId,
    manifest: manifest.digest,
    digest,
    kind,
  })
  const rows = [
    ...manifest.blobs.map((digest) => row(digest, 'blob')),
    ...manifest.manifests.map((digest) => row(digest, 'manifest')),
    ...manifest.optionalBlobs.map((digest) => row(digest, 'optional')),
  ]
  for (let start = 0; start < rows.length; start += referencesPerInsert) {
    await db
      .insertInto('manifest_references')
      .values(rows.slice(start, start + referencesPerInsert))
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'manifest', 'digest']).doNothing(),
      )
      .execute()
  }
}

async function upsertTag(
  db: Transaction<Schema>,
  entry: { repositoryId: number; tag: Tag; digest: Digest; now: number },
): Promise<void> {
  const target = { digest: entry.digest, updated_at: entry.now }
  await releaseTagged(db, entry)
  await db
    .insertInto('tags')
    .values({ repository_id: entry.repositoryId, name: entry.tag, ...target })
    .onConflict((conflict) => conflict.columns(['repository_id', 'name']).doUpdateSet(target))
    .execute()
}

/** What a tag points at, and is about to point at no more. */
async function releaseTagged(
  db: Transaction<Schema>,
  entry: { repositoryId: number; tag: Tag; now: number; digest?: Digest },
): Promise<void> {
  const before = await db
    .selectFrom('tags')
    .select('digest')
    .where('repository_id', '=', entry.repositoryId)
    .where('name', '=', entry.tag)
    .executeTakeFirst()
  if (before === undefined || before.digest === entry.digest) return
  await releaseManifests(db, entry.repositoryId, [before.digest], entry.now)
}

/** The tags and references go with it, by their foreign keys. */
export async function deleteManifest(
  db: Transaction<Schema>,
  repository: RepositoryName,
  { digest, isFixed, now }: { digest: Digest; isFixed: (tag: Tag) => boolean; now: number },
): Promise<DeleteResult> {
  const fixed = (await tagsOf(db, repository, digest)).find(isFixed)
  if (fixed !== undefined) return { outcome: 'fixed', tag: fixed }
  return deleteUnlessNeeded(db, { repository, digest, kind: 'manifest' }, async (repositoryId) => {
    const blobs = isCached(repository) ? await referencesOf(db, repositoryId, digest) : []
    await releaseManifests(db, repositoryId, await dependentsOf(db, repositoryId, digest), now)
    const deleted = await db
      .deleteFrom('manifests')
      .where('repository_id', '=', repositoryId)
      .where('digest', '=', digest)
      .executeTakeFirst()
    await noteLooseBlobs(db, repositoryId, blobs, now)
    return deleted
  })
}

export async function listTags(
  db: Executor,
  repository: RepositoryName,
  page: PageRequest,
): Promise<Tag[]> {
  const rows = await db
    .selectFrom('repositories')
    .innerJoin('tags', 'tags.repository_id', 'repositories.id')
    .select('tags.name')
    .where('repositories.name', '=', repository)
    .where('tags.name', '>', page.after ?? '')
    .orderBy('tags.name')
    .limit(page.limit)
    .execute()
  return rows.map((row) => row.name as Tag)
}

export async function deleteTag(
  db: Transaction<Schema>,
  repository: RepositoryName,
  tag: Tag,
  now: number,
): Promise<boolean> {
  const repositoryId = await findRepositoryId(db, repository)
  if (repositoryId === undefined) return false
  await releaseTagged(db, { repositoryId, tag, now })
  const deleted = await db
    .deleteFrom('tags')
    .where('repository_id', '=', repositoryId)
    .where('name', '=', tag)
    .executeTakeFirst()
  return deleted.numDeletedRows > 0n
}

export async function listReferrers(
  db: Executor,
  repository: RepositoryName,
  subject: Digest,
  page: PageRequest & { readonly artifactType?: string },
): Promise<Referrer[]> {
  let query = db
    .selectFrom('repositories')
    .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
    .selectAll('manifests')
    .where('repositories.name', '=', repository)
    .where('manifests.subject', '=', subject)
    .where('manifests.digest', '>', page.after ?? '')
  if (page.artifactType !== undefined) {
    query = query.where('manifests.artifact_type', '=', page.artifactType)
  }
  const rows = await query.orderBy('manifests.digest').limit(page.limit).execute()
  return rows.map((row) => ({
    digest: row.digest as Digest,
    mediaType: row.media_type,
    size: row.size,
    ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
    ...(row.annotations !== null && {
      annotations: JSON.parse(row.annotations) as Record<string, string>,
    }),
  }))
}
