/** What is known of content that nobody needs, and how it is forgotten. */
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
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

/** A blob of a repository. */
export interface RepositoryBlob extends BlobRecord {
  readonly repository: RepositoryName
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
  /** Content that no repository has: what is deleted leaves it behind. */
  scanNobodys(scan: Scan): Promise<Scanned<BlobRecord>>
  /** Which of these are known as content, whoever has them. */
  knownContent(digests: readonly Digest[]): Promise<Set<Digest>>
}
