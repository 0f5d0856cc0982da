/**
 * Links: what repositories are made of, told outside the database, so that all of it can be found again
 * when that is lost. One for each manifest, tag and blob of a repository; everything else is in the
 * manifests. Durable by the rules of the blob store.
 */
import type { Digest } from '../../oci/digest.ts'
import type { Reference } from '../../oci/reference.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'

export interface Link {
  readonly repository: RepositoryName
  /** The digest of a manifest or a blob, or the tag that points at a manifest. */
  readonly reference: Reference
  readonly digest: Digest
  /** Of the manifest; empty for a blob. */
  readonly mediaType: string
}

/** A reference that links to nothing any more. */
export interface Unlinked extends Pick<Link, 'repository' | 'reference'> {
  readonly digest?: undefined
}

export type LinkEntry = Link | Unlinked

export interface LinkStore {
  /** Of everything that was told so far. */
  readonly bytes: number
  /** The last entry of a reference is the one that counts. One call at a time. */
  append(entries: readonly LinkEntry[]): Promise<void>
  /**
   * Puts `links`, all there are, in the place of what was told until now; what is appended meanwhile
   * counts after them.
   */
  replace(links: AsyncIterable<readonly Link[]>): Promise<void>
  /** In the order in which they were told. `damaged`: a line that cannot be read. */
  read(): AsyncIterable<LinkEntry | { readonly damaged: string }>
}
