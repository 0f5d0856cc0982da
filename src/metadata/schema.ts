/**
 * The tables of the metadata database, as the newest migration leaves them. Times are milliseconds
 * since 1970, sizes are bytes. Text is compared and sorted by its bytes.
 */
import type { Generated, Selectable } from 'kysely'

/** A name that content was put under. The row stays when its content goes. */
export interface RepositoriesTable {
  id: Generated<number>
  name: string
  created_at: number
}

/** All content whose bytes are stored, manifests too: once, whoever has it. */
export interface BlobsTable {
  digest: string
  size: number
  created_at: number
}

/** Which repository has which blob; manifests are in `manifests`. */
export interface RepositoryBlobsTable {
  repository_id: number
  digest: string
  created_at: number
  /** When it came, if it is a cached blob that no manifest of its repository refers to, else null. */
  used_at: number | null
  /** When it was last put here, or somebody was told that it is here. */
  asked_at: number
}

export interface ManifestsTable {
  repository_id: number
  digest: string
  media_type: string
  size: number
  artifact_type: string | null
  subject: string | null
  /** JSON object of strings. */
  annotations: string | null
  /** When it was last pushed. */
  created_at: number
  /** When it was last pulled from the cache; null of what was pushed, which is never evicted. */
  used_at: number | null
  /** When what was pushed was last pulled; null as long as it was not. */
  pulled_at: number | null
  /** When a tag, an index or a subject last let go of it; null as long as none did. */
  released_at: number | null
}

/** What a manifest refers to in its repository. */
export interface ManifestReferencesTable {
  repository_id: number
  /** The manifest that refers. */
  manifest: string
  /** What it refers to. */
  digest: string
  /** `blob` and `manifest` must be there; `optional` may be. */
  kind: ReferenceKind
}

export type ReferenceKind = 'blob' | 'manifest' | 'optional'

export interface TagsTable {
  repository_id: number
  name: string
  /** Of a manifest of the same repository: the tag goes when that goes. */
  digest: string
  updated_at: number
}

export interface UploadsTable {
  id: string
  repository: string
  algorithm: string
  /** Bytes that are durably staged. */
  offset: number
  created_at: number
  updated_at: number
}

/** Content that is known no more, whose bytes may still be there. */
export interface RemovalsTable {
  digest: string
  size: number
}

/** A manifest or tag whose link may not be as it is here. */
export interface LinkChangesTable {
  id: Generated<number>
  repository_id: number
  /** Digest or tag. */
  reference: string
  /** Of a repository that is gone, and whose id means nothing any more. */
  deleted_repository: string | null
}

export interface Schema {
  link_changes: LinkChangesTable
  repositories: RepositoriesTable
  blobs: BlobsTable
  repository_blobs: RepositoryBlobsTable
  manifests: ManifestsTable
  manifest_references: ManifestReferencesTable
  tags: TagsTable
  uploads: UploadsTable
  removals: RemovalsTable
}

export type UploadRow = Selectable<UploadsTable>
