/**
 * The data directory of a Trow that does not run, written to by the same verbs that serve pushes and
 * pulls: bytes are verified and durable before anything names them. Cached content stays cached.
 */
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { Manifests } from '../registry/manifests.ts'
import type { Mounts } from '../registry/mounts.ts'
import type { BlobStore } from '../registry/ports/blob-store.ts'
import type { MetadataStore } from '../registry/ports/metadata-store.ts'
import type { RequestContext } from '../registry/request-context.ts'
import type { Uploads } from '../registry/uploads.ts'
import type { BlobMove, ContentDestination, MovedManifest } from './content-source.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly uploads: Uploads
  readonly mounts: Mounts
  readonly manifests: Manifests
  readonly context: RequestContext
  /** Closes the directory. */
  readonly resources: AsyncDisposable
}

export class DataDirectoryDestination implements ContentDestination {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  refusalOf(): undefined {
    return undefined
  }

  async findManifest(
    repository: RepositoryName,
    reference: Reference,
  ): Promise<Digest | undefined> {
    const { manifests, context } = this.#parts
    return (await manifests.findManifest(context, repository, reference))?.digest
  }

  async hasBlob(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const known = await this.#parts.metadata.findBlob(repository, digest)
    const stored = known && (await this.#parts.blobs.statBlob(digest))
    return stored !== undefined && stored.size === known?.size
  }

  async putBlob(
    repository: RepositoryName,
    { digest, size }: Descriptor,
    { from, open }: BlobMove,
  ): Promise<boolean> {
    if (await this.hasBlob(repository, digest)) return false
    const { uploads, mounts, context } = this.#parts
    const source = from === undefined ? {} : { from }
    if (await mounts.mountBlob(context, repository, digest, source)) return false
    await uploads.pushBlob(context, repository, digest, { bytes: open(), length: size })
    return true
  }

  async putManifest(
    repository: RepositoryName,
    manifest: MovedManifest,
    tag: Tag | undefined,
  ): Promise<void> {
    const { manifests, context } = this.#parts
    const { digest, mediaType, bytes } = manifest
    const tags = tag === undefined ? [] : [tag]
    if (isProxiedName(repository)) {
      const fetched = { digest, mediaType, bytes, size: bytes.length }
      await manifests.cacheManifest(context, repository, fetched, tags)
    } else {
      const push = { reference: digest, bytes, contentType: mediaType, tags }
      await manifests.putManifest(context, repository, push)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.resources[Symbol.asyncDispose]()
  }
}
