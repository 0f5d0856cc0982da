/** What is known of content that nobody needs, and how it is forgotten. */
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type { PageRequest } from './metadata-store.ts'
import type { BlobRecord } from './records.ts'

/** A part of a table: so many rows are looked at, whatever is found in them. */
export interface Scan {
  readonly rows: number
  /** Where the part before ended. */
  readonly after?: string
}

export interface Scanned<T> {
  readonly found: T[]
  /** Rows that were looked at. */
  readonly rows: number
  /** Absent at the end of the table. */
  readonly next?: string
}

/** What is gone through: `blobs of repositories` counts a blob once for each repository. */
export type ScannedTable = 'blobs of repositories' | 'manifests' | 'blobs'

/** A blob of a repository. */
export interface RepositoryBlob extends BlobRecord {
  readonly repository: RepositoryName
  /** When it was put or asked for last, in milliseconds since 1970. */
  readonly askedAt: number
}

/** An image that is to go: with it goes what is only there because of it. */
export interface ImageDeletion {
  readonly repository: RepositoryName
  readonly digest: Digest
  /** Tags that go if they point at it. It stays if another one does. */
  readonly tags: readonly Tag[]
  /** Nothing is done if one of the manifests was pushed or pulled since, or is asked for now. */
  readonly askedBefore?: number
  readonly isAsked?: (digest: Digest) => boolean
  /** Says what it would do, and does nothing. */
  readonly dryRun?: boolean
  /** The manifest itself goes though it is attached to another one; if an index needs it, nothing does. */
  readonly whole?: boolean
}

export type ImageDeletionResult =
  | {
      readonly outcome: 'deleted'
      readonly tags: readonly Tag[]
      /** The image's own first; none while something else holds it. */
      readonly manifests: readonly Digest[]
    }
  | { readonly outcome: 'unknown' }
  /** This manifest was asked for since; or, of a whole image, it is needed. */
  | { readonly outcome: 'asked' | 'needed'; readonly digest: Digest }

/** A manifest of a repository. */
export interface RepositoryManifest {
  readonly repository: RepositoryName
  readonly digest: Digest
}

/** A tag, for a decision whether it is kept; times in milliseconds since 1970. */
export interface TagUse {
  readonly tag: Tag
  readonly digest: Digest
  readonly pushedAt: number
  /** When what it points at was last pulled, by whatever name. */
  readonly pulledAt?: number
}

/** How much there is of a repository. */
export interface RepositoryCounts {
  readonly tags: number
  readonly manifests: number
  readonly blobs: number
}

/**
 * What garbage collection asks of the metadata, by the rules of `MetadataStore`. All of it is about
 * repositories that were pushed to; what is cached goes by eviction alone.
 */
export interface CollectionMetadata {
  /**
   * Finds a blob for somebody who is told that the repository has it, and notes that, unless that
   * was done since `renewBefore`.
   */
  promiseBlob(
    repository: RepositoryName,
    digest: Digest,
    renewBefore: number,
  ): Promise<BlobRecord | undefined>
  /**
   * Blobs that no manifest of their repository refers to and that were neither put nor asked for
   * since `before` (milliseconds since 1970).
   */
  scanUnneededBlobs(before: number, scan: Scan): Promise<Scanned<RepositoryBlob>>
  /** Takes those from their repositories that still are as `scanUnneededBlobs` finds them. */
  unlinkUnneededBlobs(
    blobs: readonly Pick<RepositoryBlob, 'repository' | 'digest'>[],
    before: number,
  ): Promise<number>
  /**
   * Manifests that no tag, index or subject holds, and that were neither pushed, pulled nor let go of
   * since `before`.
   */
  scanUntagged(before: number, scan: Scan): Promise<Scanned<RepositoryManifest>>
  /** Deletes an image with its children and referrers, as far as nothing else holds them. */
  deleteImage(deletion: ImageDeletion): Promise<ImageDeletionResult>
  /** Tags that point at the manifest. */
  listTagsOf(repository: RepositoryName, digest: Digest): Promise<Tag[]>
  /** In the order of their names, after `page.after`. */
  listTagUses(repository: RepositoryName, page: PageRequest): Promise<TagUse[]>
  /** @returns undefined for a repository that is not known. */
  countRepository(repository: RepositoryName): Promise<RepositoryCounts | undefined>
  /**
   * Deletes a part of a repository, whatever needs it: so many manifests with their tags, then blobs,
   * then its name.
   */
  deleteRepositoryPart(
    repository: RepositoryName,
    rows: number,
  ): Promise<{ readonly isGone: boolean; readonly manifests: number; readonly blobs: number }>
  /** Content that no repository has: what is deleted leaves it behind. */
  scanNobodys(scan: Scan): Promise<Scanned<BlobRecord>>
  /** Bytes of all content and of what is staged; as exact as `measureCache`. */
  measureContent(): Promise<number>
  /** How many rows there are to look at. */
  countRows(table: ScannedTable): Promise<number>
  /** Which of these are known as content, whoever has them. */
  knownContent(digests: readonly Digest[]): Promise<Set<Digest>>
}
