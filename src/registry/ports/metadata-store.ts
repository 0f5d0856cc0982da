/**
 * What is known about content. A driver passes the suite in `test/contract/`.
 *
 * Durability: a promise of a write resolves only when what was written survives a power cut. A
 * driver that cannot write or read now throws OciError STORAGE_FULL or UNAVAILABLE.
 */
import type { IntegrityMetadata } from './integrity-metadata.ts'
import type { LinkMetadata } from './link-metadata.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Reference } from '../../oci/reference.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type { CacheMetadata } from './cache-metadata.ts'
import type { CollectionMetadata } from './collection-metadata.ts'
import type {
  BlobRecord,
  ContentCounts,
  ManifestEntry,
  ManifestRecord,
  Referrer,
  UploadRecord,
} from './records.ts'
import type { UploadId } from './upload-store.ts'

/** Entries after `after` in the order of their bytes, at most `limit` of them. */
export interface PageRequest {
  readonly after?: string
  readonly limit: number
}

export interface PutManifestOptions {
  readonly sparse: boolean
  readonly isFixed?: (tag: Tag) => boolean
}

export type DeleteResult =
  | { readonly outcome: 'deleted' }
  | { readonly outcome: 'unknown' }
  /** Refused: this manifest of the repository refers to it. */
  | { readonly outcome: 'needed'; readonly by: Digest }
  /** Refused: this tag may not go. */
  | { readonly outcome: 'fixed'; readonly tag: Tag }

/**
 * What is known about content: repositories, their blobs, manifests and tags, upload sessions. Each
 * method is one transaction, visible to every later call when its promise resolves.
 */
export interface MetadataStore
  extends CacheMetadata, CollectionMetadata, LinkMetadata, IntegrityMetadata {
  /** @throws when the database cannot be read and written now. */
  check(): Promise<void>

  hasRepository(repository: RepositoryName): Promise<boolean>
  /** Whether the repository holds a manifest or a blob, and not only its name. */
  hasContent(repository: RepositoryName): Promise<boolean>
  /** Repositories that hold a manifest. */
  listRepositories(page: PageRequest): Promise<RepositoryName[]>

  findBlob(repository: RepositoryName, digest: Digest): Promise<BlobRecord | undefined>
  /** Says that the repository has the blob, whose bytes are stored. Ends the upload, if one is named. */
  putBlob(repository: RepositoryName, blob: BlobRecord, upload?: UploadId): Promise<void>
  /** Repositories that have the blob, at most `limit` of them. */
  findRepositoriesWithBlob(digest: Digest, limit: number): Promise<RepositoryName[]>
  /** Gives `repository` the blob that `from` has. @returns undefined when `from` has it not. */
  mountBlob(
    repository: RepositoryName,
    digest: Digest,
    from: RepositoryName,
  ): Promise<BlobRecord | undefined>
  deleteBlob(repository: RepositoryName, digest: Digest): Promise<DeleteResult>

  findManifest(
    repository: RepositoryName,
    reference: Reference,
  ): Promise<ManifestRecord | undefined>
  /** Which of the content that the manifest needs is not in the repository. */
  findMissingContent(
    repository: RepositoryName,
    manifest: Pick<ManifestEntry, 'blobs' | 'manifests'>,
  ): Promise<Digest[]>
  /**
   * Adds a manifest whose bytes are stored, and points `tags` at it; or, if content it needs is not
   * in the repository, changes nothing and says what is missing.
   * @param options.sparse takes it whatever is missing: an upstream has the rest.
   * @param options.isFixed tags that must not be moved from another manifest: then `fixed` is one that
   *   would have been, and nothing is changed.
   */
  putManifest(
    repository: RepositoryName,
    manifest: ManifestEntry,
    tags: readonly Tag[],
    options?: PutManifestOptions,
  ): Promise<{ missing: Digest[]; fixed?: Tag }>
  /**
   * Deletes the manifest and every tag that points at it.
   * @param isFixed tags that must not go.
   */
  deleteManifest(
    repository: RepositoryName,
    digest: Digest,
    isFixed?: (tag: Tag) => boolean,
  ): Promise<DeleteResult>

  listTags(repository: RepositoryName, page: PageRequest): Promise<Tag[]>
  /** @returns whether there was such a tag. */
  deleteTag(repository: RepositoryName, tag: Tag): Promise<boolean>

  /** In the order of their digests; `page.after` is a digest. */
  listReferrers(
    repository: RepositoryName,
    subject: Digest,
    page: PageRequest & { readonly artifactType?: string },
  ): Promise<Referrer[]>

  createUpload(upload: UploadRecord): Promise<void>
  findUpload(repository: RepositoryName, id: UploadId): Promise<UploadRecord | undefined>
  /** A power cut within the next moments may take it back. */
  setUploadOffset(id: UploadId, offset: number): Promise<void>
  /** @returns whether there was such a session. */
  deleteUpload(id: UploadId): Promise<boolean>
  /** Sessions untouched since `before` (milliseconds since 1970), at most `limit` of them. */
  listIdleUploads(before: number, limit: number): Promise<UploadRecord[]>
  /** Which of `ids` are sessions. */
  knownUploads(ids: readonly UploadId[]): Promise<Set<UploadId>>

  countContent(): Promise<ContentCounts>
}
