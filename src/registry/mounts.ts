/**
 * Mounting: a repository gets a blob that another one has, without the bytes being sent again. Only
 * what the caller may read is ever mounted, or a digest alone would give access to content.
 */
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import type { RequestContext } from './request-context.ts'

export class Mounts {
  readonly #metadata: MetadataStore
  readonly #blobs: BlobStore
  readonly #candidatesMax: number

  constructor(
    stores: { metadata: MetadataStore; blobs: BlobStore },
    settings: { candidatesMax: number },
  ) {
    this.#metadata = stores.metadata
    this.#blobs = stores.blobs
    this.#candidatesMax = settings.candidatesMax
  }

  /**
   * @param source.from the repository to take it from; any readable one when absent.
   * @returns undefined when it cannot be mounted: the client is to upload it.
   */
  async mountBlob(
    context: RequestContext,
    repository: RepositoryName,
    digest: Digest,
    source: { from?: RepositoryName },
  ): Promise<BlobRecord | undefined> {
    const candidates =
      source.from === undefined
        ? await this.#metadata.findRepositoriesWithBlob(digest, this.#candidatesMax)
        : [source.from]
    const from = candidates.find((candidate) => context.principal.may('pull', candidate))
    if (from === undefined) return undefined
    // Bytes that were lost are not handed on: the upload that follows heals them.
    const stored = await this.#blobs.statBlob(digest)
    const known = await this.#metadata.findBlob(from, digest)
    if (stored === undefined || stored.size !== known?.size) return undefined
    const blob = await this.#metadata.mountBlob(repository, digest, from)
    if (blob) context.log.info({ repository, digest, from }, 'blob mounted')
    return blob
  }
}
