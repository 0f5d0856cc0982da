/** Everything that is known, part by part, for a scrub to look at. */
import { sql, type Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type { RepositoryManifest, Scan, Scanned } from '../../registry/ports/collection-metadata.ts'
import type { RepositoryTag } from '../../registry/ports/integrity-metadata.ts'
import type { PageRequest } from '../../registry/ports/metadata-store.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import type { Schema } from '../schema.ts'
import { formatKey, isAfter, parseKey } from './row-key.ts'
import type { Executor } from './repositories.ts'

export async function correctSize(
  db: Transaction<Schema>,
  { digest, size }: BlobRecord,
): Promise<void> {
  await db.updateTable('blobs').set({ size }).where('digest', '=', digest).execute()
}

export async function listContent(
  db: Executor,
  { after = '', limit }: PageRequest,
): Promise<BlobRecord[]> {
  const rows = await db
    .selectFrom('blobs')
    .select(['digest', 'size'])
    .where('digest', '>', after)
    .orderBy('digest')
    .limit(limit)
    .execute()
  return rows.map(({ digest, size }) => ({ digest: digest as Digest, size }))
}

export async function findHolders(
  db: Executor,
  digest: Digest,
  limit: number,
): Promise<RepositoryName[]> {
  const rows = await db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .select('repositories.name')
    .where('repository_blobs.digest', '=', digest)
    .union(
      db
        .selectFrom('manifests')
        .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
        .select('repositories.name')
        .where('manifests.digest', '=', digest),
    )
    .limit(limit)
    .execute()
  return rows.map(({ name }) => name as RepositoryName)
}

export async function scanManifests(
  db: Executor,
  { rows, after }: Scan,
): Promise<Scanned<RepositoryManifest & { readonly mediaType: string }>> {
  const start = after === undefined ? { repositoryId: 0, digest: '' } : parseKey(after)
  const found = await db
    .selectFrom('manifests')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .select([
      'manifests.repository_id as repositoryId',
      'repositories.name',
      'manifests.digest',
      'manifests.media_type as mediaType',
    ])
    .where((where) => isAfter(where, 'manifests', start))
    .orderBy('manifests.repository_id')
    .orderBy('manifests.digest')
    .limit(rows)
    .execute()
  const last = found.length < rows ? undefined : found.at(-1)
  return {
    rows: found.length,
    found: found.map(({ name, digest, mediaType }) => ({
      repository: name as RepositoryName,
      digest: digest as Digest,
      mediaType,
    })),
    ...(last && { next: formatKey(last) }),
  }
}

export async function listReferences(
  db: Executor,
  repository: RepositoryName,
  digest: Digest,
): Promise<Digest[]> {
  const rows = await db
    .selectFrom('manifest_references')
    .innerJoin('repositories', 'repositories.id', 'manifest_references.repository_id')
    .select('manifest_references.digest')
    .where('repositories.name', '=', repository)
    .where('manifest_references.manifest', '=', digest)
    .execute()
  return rows.map((row) => row.digest as Digest)
}

export async function scanBlobs(
  db: Executor,
  { rows, after }: Scan,
): Promise<Scanned<RepositoryManifest>> {
  const start = after === undefined ? { repositoryId: 0, digest: '' } : parseKey(after)
  const found = await db
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .select([
      'repository_blobs.repository_id as repositoryId',
      'repositories.name',
      'repository_blobs.digest',
    ])
    .where((where) => isAfter(where, 'repository_blobs', start))
    .orderBy('repository_blobs.repository_id')
    .orderBy('repository_blobs.digest')
    .limit(rows)
    .execute()
  const last = found.length < rows ? undefined : found.at(-1)
  return {
    rows: found.length,
    found: found.map(({ name, digest }) => ({
      repository: name as RepositoryName,
      digest: digest as Digest,
    })),
    ...(last && { next: formatKey(last) }),
  }
}

export async function scanTags(
  db: Executor,
  { rows, after }: Scan,
): Promise<Scanned<RepositoryTag>> {
  const [id = '0', name = ''] = after?.split(' ') ?? []
  const found = await db
    .selectFrom('tags')
    .innerJoin('repositories', 'repositories.id', 'tags.repository_id')
    .innerJoin('manifests', (join) =>
      join
        .onRef('manifests.repository_id', '=', 'tags.repository_id')
        .onRef('manifests.digest', '=', 'tags.digest'),
    )
    .select([
      'tags.repository_id as repositoryId',
      'repositories.name',
      'tags.name as tag',
      'tags.digest',
      'manifests.media_type as mediaType',
    ])
    .where(sql<boolean>`(tags.repository_id, tags.name) > (${Number(id)}, ${name})`)
    .orderBy('tags.repository_id')
    .orderBy('tags.name')
    .limit(rows)
    .execute()
  const last = found.length < rows ? undefined : found.at(-1)
  return {
    rows: found.length,
    found: found.map(({ name, tag, digest, mediaType }) => ({
      repository: name as RepositoryName,
      tag: tag as Tag,
      digest: digest as Digest,
      mediaType,
    })),
    ...(last && { next: `${last.repositoryId} ${last.tag}` }),
  }
}
