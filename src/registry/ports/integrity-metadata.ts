/** What a scrub asks of the metadata: all of it, part by part. */
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type { RepositoryManifest, Scan, Scanned } from './collection-metadata.ts'
import type { PageRequest } from './metadata-store.ts'
import type { BlobRecord } from './records.ts'

export interface RepositoryTag extends RepositoryManifest {
  readonly tag: Tag
  readonly mediaType: string
}

export interface IntegrityMetadata {
  /**
   * Reads all of the database, beside everything else; one that a server of its own keeps is that
   * server's to check. @returns what is wrong with it, and what to do.
   */
  findDamage(signal: AbortSignal): Promise<string | undefined>
  /** Where something else is known of it. */
  correctSize(content: BlobRecord): Promise<void>
  /** All content, in the order of the digests; `page.after` is a digest. */
  listContent(page: PageRequest): Promise<BlobRecord[]>
  /** Repositories that have the content, as a blob or as a manifest; at most `limit` of them. */
  findHolders(digest: Digest, limit: number): Promise<RepositoryName[]>
  /** What the database has of what a manifest refers to. */
  listReferences(repository: RepositoryName, digest: Digest): Promise<Digest[]>
  /** Which repository has which blob. */
  scanBlobs(scan: Scan): Promise<Scanned<RepositoryManifest>>
  /** All tags, with the media type of what they point at. */
  scanTags(scan: Scan): Promise<Scanned<RepositoryTag>>
  /** All manifests. */
  scanManifests(scan: Scan): Promise<Scanned<RepositoryManifest & { readonly mediaType: string }>>
}
