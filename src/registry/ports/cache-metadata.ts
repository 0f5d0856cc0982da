/** What is known of cached content: when it was used, and how it is forgotten. */
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { BlobRecord } from './records.ts'

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

/** What the cache asks of the metadata, by the rules of `MetadataStore`. */
export interface CacheMetadata {
  /** Notes that cached manifests were used, and what is cached of their children with them. */
  touchManifests(uses: readonly ManifestUse[]): Promise<void>
  /**
   * Bytes of content that cached repositories have and no other one does, each counted once. Not
   * one transaction: of what changes meanwhile, it may count the old or the new.
   */
  measureCache(): Promise<number>
  /** A manifest of the repository that refers to the blob: it has the blob's size. */
  findManifestWithBlob(repository: RepositoryName, blob: Digest): Promise<Digest | undefined>
  /** In the order of their last use, the one longest ago first. */
  listEvictable(page: EvictablePage): Promise<Evictable[]>
  /** Evicts entries in their order, but for those that were used since they were listed. */
  evict(entries: readonly Evictable[], request: EvictionRequest): Promise<EvictionResult>
  /**
   * Forgets which of this content no repository has, and remembers that its bytes are to be removed.
   * Whoever removes bytes asks this first.
   * @returns what nobody has.
   */
  forgetContent(digests: readonly Digest[]): Promise<Digest[]>
  /** Content whose bytes are still to be removed, at most `limit` of it. */
  listRemovals(limit: number): Promise<BlobRecord[]>
  /** Says that these bytes are removed, or need not be. */
  endRemovals(digests: readonly Digest[]): Promise<void>
}
