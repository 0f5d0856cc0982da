/**
 * Blobs as clients see them: readable only through a repository that has them, and only as long as
 * their bytes are what the database says.
 */
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { BlobPromises } from './blob-promises.ts'
import type { ContentLocks } from './content-locks.ts'
import type { KnownDamage } from './known-damage.ts'
import type { BlobReader, BlobStore } from './ports/blob-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import { reportLost } from './lost-content.ts'
import type { ReadChecks } from './read-checks.ts'
import type { RequestContext } from './request-context.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly promises: BlobPromises
  readonly damage: KnownDamage
  readonly checks: Pick<ReadChecks, 'watch'>
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
}

export class Blobs {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * A client that is told of a blob does not push it. So it is not collected before the manifest had
   * time to come; and the bytes are looked at too: one that was lost must not be told of, and the push
   * that follows heals it.
   * @throws OciError BLOB_UNKNOWN
   */
  async getBlob(
    context: RequestContext,
    repository: RepositoryName,
    digest: Digest,
  ): Promise<BlobRecord> {
    const record = await this.#parts.promises.findBlob(context, repository, digest)
    if (record === undefined) throw unknown(repository, digest)
    const stored = await this.#parts.blobs.statBlob(digest)
    if (stored?.size === record.size) return record
    throw await this.#lost(context, repository, record, stored?.size)
  }

  /** The caller disposes of the reader. @throws OciError BLOB_UNKNOWN */
  async openBlob(
    context: RequestContext,
    repository: RepositoryName,
    digest: Digest,
  ): Promise<BlobReader> {
    const record = await this.#parts.metadata.findBlob(repository, digest)
    if (record === undefined) throw unknown(repository, digest)
    const reader = await this.#parts.blobs.openBlob(digest)
    if (reader?.size === record.size) return this.#parts.checks.watch(repository, record, reader)
    await reader?.[Symbol.asyncDispose]()
    throw await this.#lost(context, repository, record, reader?.size)
  }

  /**
   * Takes the blob from the repository; other repositories keep it.
   * @throws OciError BLOB_UNKNOWN, or DENIED while a manifest of the repository needs it.
   */
  async deleteBlob(
    context: RequestContext,
    repository: RepositoryName,
    digest: Digest,
  ): Promise<void> {
    const result = await this.#parts.metadata.deleteBlob(repository, digest)
    if (result.outcome === 'unknown') throw unknown(repository, digest)
    if (result.outcome !== 'deleted' && 'by' in result) {
      throw new OciError('DENIED', {
        status: 405,
        message: `the blob is part of manifest ${result.by}: delete that manifest first`,
        detail: { digest, manifest: result.by },
      })
    }
    context.log.info({ repository, digest }, 'blob deleted')
  }

  async #lost(
    context: RequestContext,
    repository: RepositoryName,
    record: BlobRecord,
    size: number | undefined,
  ): Promise<OciError> {
    const { digest } = record
    // It was deleted meanwhile.
    if ((await this.#parts.metadata.findBlob(repository, digest)) === undefined) {
      return unknown(repository, digest)
    }
    await reportLost(this.#parts, { repository, kind: 'blob', record, found: size }, context.log)
    return unknown(repository, digest)
  }
}

function unknown(repository: RepositoryName, digest: Digest): OciError {
  return new OciError('BLOB_UNKNOWN', {
    message: `blob unknown to repository ${repository}`,
    detail: { digest },
  })
}
