/**
 * What clients were told that a repository has. They push a manifest later that relies on it, so the
 * answer is a promise that holds for the grace period of garbage collection, over a crash too: it is in
 * the database before it is given. Between two notes of one blob some time passes, which the collector
 * adds to the grace.
 */
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import type { RequestContext } from './request-context.ts'

interface Parts {
  readonly metadata: Pick<MetadataStore, 'findBlob' | 'promiseBlob'>
  readonly clock: Clock
}

export class BlobPromises {
  readonly #parts: Parts
  readonly #renewalSecondsMax: number
  #graceSeconds: number

  constructor(parts: Parts, settings: { graceSeconds: number; renewalSecondsMax: number }) {
    this.#parts = parts
    this.#graceSeconds = settings.graceSeconds
    this.#renewalSecondsMax = settings.renewalSecondsMax
  }

  setGraceSeconds(graceSeconds: number): void {
    this.#graceSeconds = graceSeconds
  }

  /** What was put or promised before this moment is nobody's claim any more. */
  get expiredBefore(): number {
    return this.#parts.clock.now() - (this.#graceSeconds + this.#renewalSeconds) * 1000
  }

  /** @returns undefined when the repository has no such blob. */
  async findBlob(
    context: Pick<RequestContext, 'log'>,
    repository: RepositoryName,
    digest: Digest,
  ): Promise<BlobRecord | undefined> {
    const { metadata, clock } = this.#parts
    const renewBefore = clock.now() - this.#renewalSeconds * 1000
    try {
      return await metadata.promiseBlob(repository, digest, renewBefore)
    } catch (error) {
      // A database that cannot be written takes no manifest and forgets no blob either.
      if (!(error instanceof OciError)) throw error
      context.log.warn({ err: error, repository, digest }, 'could not note who asked for a blob')
      return await metadata.findBlob(repository, digest)
    }
  }

  get #renewalSeconds(): number {
    return Math.min(this.#graceSeconds / 4, this.#renewalSecondsMax)
  }
}
