/** What is known about content, as rows of the metadata and as answers to who asks for it. */
import type { Digest, DigestAlgorithm } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { UploadId } from './upload-store.ts'

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

export interface UploadRecord {
  readonly id: UploadId
  readonly repository: RepositoryName
  readonly algorithm: DigestAlgorithm
  /** Bytes that are durably staged; what the store holds beyond them does not count. */
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly updatedAt: number
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
