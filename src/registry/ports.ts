/**
 * What the registry needs from the outside, and nothing about who provides it. A driver of a port
 * passes the suite in `test/contract/` that is named after it.
 *
 * Durability: a promise of a write resolves only when what was written survives a power cut. A
 * driver that cannot write or read now throws OciError STORAGE_FULL or UNAVAILABLE.
 */
import type { Digest, DigestAlgorithm } from '../oci/digest.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'

export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
}

/** Bytes `start` up to and including `endInclusive`; always inside the content. */
export interface ByteRange {
  readonly start: number
  readonly endInclusive: number
}

/** Open content. It stays readable after the blob is deleted, until it is disposed of. */
export interface BlobReader extends AsyncDisposable {
  /** Bytes of the whole blob. */
  readonly size: number
  /**
   * Yields the bytes of `range`, or all of them, in order. A chunk is valid until the next one is
   * asked for: its buffer is used again.
   */
  read(range?: ByteRange): AsyncIterable<Uint8Array>
}

/** A repository of another registry, by its canonical name. */
export interface UpstreamRepository {
  readonly host: RegistryHost
  readonly repository: RepositoryName
}

/** A manifest as it came from an upstream, its bytes verified. */
export interface UpstreamManifest extends ManifestRecord {
  readonly bytes: Uint8Array
}

/** A blob on its way; disposing of it ends the transfer. */
export interface UpstreamBlob extends AsyncDisposable {
  /** Bytes of the whole blob, where the upstream says. */
  readonly size: number | undefined
  /** Where `chunks` begins: the offset that was asked for, or 0 at an upstream without ranges. */
  readonly offset: number
  /** May be read once. @throws UpstreamError when the connection breaks. */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** On whose behalf another registry is asked, and for how long. */
export interface UpstreamCall {
  readonly signal: AbortSignal
  /** `RequestContext.via`: without it a loop of registries is not noticed. */
  readonly via: readonly string[]
}

/** Other registries. Everything throws UpstreamError when it does not get what it asked for. */
export interface Upstream {
  getManifest(
    target: UpstreamRepository,
    reference: Reference,
    call: UpstreamCall,
  ): Promise<UpstreamManifest>
  /** What the tag points at now; the manifest too, where it had to be fetched to know. */
  headManifest(
    target: UpstreamRepository,
    reference: Reference,
    call: UpstreamCall,
  ): Promise<ManifestRecord & { readonly manifest?: UpstreamManifest }>
  /** The size of a blob, without its bytes. */
  headBlob(target: UpstreamRepository, digest: Digest, call: UpstreamCall): Promise<BlobRecord>
  /** @param offset where to begin, for a transfer that broke. */
  getBlob(
    target: UpstreamRepository,
    digest: Digest,
    offset: number,
    call: UpstreamCall,
  ): Promise<UpstreamBlob>
  /** One page, of the upstream's own size if it is smaller than asked for. */
  listTags(
    target: UpstreamRepository,
    page: PageRequest,
    call: UpstreamCall,
  ): Promise<{ readonly entries: Tag[]; readonly next?: string }>
  listReferrers(
    target: UpstreamRepository,
    subject: Digest,
    call: UpstreamCall,
  ): Promise<Referrer[]>
}

/** Verified content by digest. Nothing is in it whose digest was not checked first. */
export interface BlobStore {
  /** @returns undefined when there are no such bytes. */
  statBlob(digest: Digest): Promise<BlobRecord | undefined>
  /** @returns undefined when there are no such bytes. */
  openBlob(digest: Digest): Promise<BlobReader | undefined>
  /** Stores content whose digest the caller has verified. Idempotent. */
  putBlob(digest: Digest, bytes: Uint8Array): Promise<void>
  /** Idempotent. */
  deleteBlob(digest: Digest): Promise<void>
  /** Writes, reads and removes a few bytes. @throws when the store cannot do that now. */
  check(): Promise<void>
}

/** Where an upload's bytes are staged until their digest is known. */
export interface UploadStore {
  /**
   * Cuts what is staged to `offset` bytes, then appends `chunks` to it, durably. Ends when `chunks`
   * ends or throws; what had arrived until then is kept either way. At offset 0 it begins an upload.
   * @throws when the bytes cannot be stored; then only the first `offset` bytes count.
   */
  appendToUpload(
    id: UploadId,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    observer: AppendObserver,
  ): Promise<AppendResult>
  /** Opens what is staged, for reading while more is appended and after it was committed. */
  openUpload(id: UploadId): Promise<UploadReader>
  /** Makes the staged bytes the content of `digest`, which the caller has verified. */
  commitUpload(id: UploadId, digest: Digest): Promise<void>
  /** Idempotent. */
  deleteUpload(id: UploadId): Promise<void>
  /** All that is staged, sessions that nobody knows any more included. */
  listUploads(): Promise<UploadId[]>
}

export interface AppendObserver {
  /** Called with all bytes in order, before they are written. */
  readonly onBytes: (bytes: Uint8Array) => void
  /**
   * Called with the number of bytes that can be read, from the start of the upload, whenever there
   * are more. Whoever asks for it wants each byte soon: bytes are then written as they come, and only
   * those that come meanwhile are gathered.
   */
  readonly onWritten?: (offset: number) => void
}

/** Open staged bytes. They stay readable after the upload is committed or deleted. */
export interface UploadReader extends AsyncDisposable {
  /** All of `range` must be staged; a chunk is valid until the next one is asked for. */
  read(range: ByteRange): AsyncIterable<Uint8Array>
}

export interface AppendResult {
  /** Bytes that were appended and are durable. */
  readonly appended: number
  /** What the source of the bytes threw. */
  readonly error?: Error
}

export type UploadId = string & { readonly __uploadId: unique symbol }

export interface UploadRecord {
  readonly id: UploadId
  readonly repository: RepositoryName
  readonly algorithm: DigestAlgorithm
  /** Bytes that are durably staged; what the store holds beyond them does not count. */
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly updatedAt: number
}

export interface BlobRecord {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

export interface ManifestRecord extends BlobRecord {
  readonly mediaType: string
}

export interface ManifestEntry extends ManifestRecord {
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly subject?: Digest
  /** Content that must be in the repository. */
  readonly blobs: readonly Digest[]
  readonly manifests: readonly Digest[]
  /** Content that may be in the repository (non-distributable layers). */
  readonly optionalBlobs: readonly Digest[]
}

export interface Referrer extends ManifestRecord {
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** Entries after `after` in the order of their bytes, at most `limit` of them. */
export interface PageRequest {
  readonly after?: string
  readonly limit: number
}

export type DeleteResult =
  | { readonly outcome: 'deleted' }
  | { readonly outcome: 'unknown' }
  /** Refused: this manifest of the repository refers to it. */
  | { readonly outcome: 'needed'; readonly by: Digest }

/** A pull of a manifest from the cache. */
export interface ManifestUse {
  readonly repository: RepositoryName
  readonly digest: Digest
  /** Milliseconds since 1970. */
  readonly usedAt: number
}

/**
 * What the cache can be without: a manifest, with the blobs that no other one of its repository
 * needs, or a blob that no manifest of its repository refers to.
 */
export interface Evictable extends ManifestUse {
  readonly kind: 'manifest' | 'blob'
}

export interface EvictablePage {
  readonly limit: number
  /** The last one of the page before. */
  readonly after?: Evictable
}

export interface EvictionRequest {
  /** No more is evicted once this much is nobody's. */
  readonly bytes: number
  /** Content that stays, with the manifests that refer to it. */
  readonly inUse: Pick<ReadonlySet<Digest>, 'has'>
}

export interface EvictionResult {
  /** How many of the entries, from the first one, were dealt with: evicted, or found to be in use. */
  readonly taken: number
  readonly evicted: readonly Evictable[]
  /** What no repository has any more: its bytes can be removed. */
  readonly nobodys: readonly BlobRecord[]
}

/**
 * What is known about content: repositories, their blobs, manifests and tags, upload sessions. Each
 * method is one transaction, visible to every later call when its promise resolves.
 */
export interface MetadataStore {
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
   */
  putManifest(
    repository: RepositoryName,
    manifest: ManifestEntry,
    tags: readonly Tag[],
    options?: { readonly sparse: boolean },
  ): Promise<{ missing: Digest[] }>
  /** Deletes the manifest and every tag that points at it. */
  deleteManifest(repository: RepositoryName, digest: Digest): Promise<DeleteResult>

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
  setUploadOffset(id: UploadId, offset: number): Promise<void>
  /** @returns whether there was such a session. */
  deleteUpload(id: UploadId): Promise<boolean>
  /** Sessions untouched since `before` (milliseconds since 1970), at most `limit` of them. */
  listIdleUploads(before: number, limit: number): Promise<UploadRecord[]>
  /** Which of `ids` are sessions. */
  knownUploads(ids: readonly UploadId[]): Promise<Set<UploadId>>

  countContent(): Promise<ContentCounts>

  /** Notes that cached manifests were used, and what is cached of their children with them. */
  touchManifests(uses: readonly ManifestUse[]): Promise<void>
  /**
   * Bytes of content that cached repositories have and no other one does, each counted once. Not
   * one transaction: of what changes meanwhile, it may count the old or the new.
   */
  measureCache(): Promise<number>
  /** In the order of their last use, the one longest ago first. */
  listEvictable(page: EvictablePage): Promise<Evictable[]>
  /** Evicts entries in their order, but for those that were used since they were listed. */
  evict(entries: readonly Evictable[], request: EvictionRequest): Promise<EvictionResult>
  /**
   * Forgets which of this content no repository has. Whoever removes bytes asks this first.
   * @returns what nobody has.
   */
  forgetContent(digests: readonly Digest[]): Promise<Digest[]>
}

export interface ContentCounts {
  readonly repositories: number
  readonly manifests: number
  readonly tags: number
  readonly blobs: number
  /** Bytes of all blobs and manifests, each counted once. */
  readonly bytes: number
  readonly uploads: number
}
