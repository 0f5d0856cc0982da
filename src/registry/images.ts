/**
 * Deleting images and whole repositories, with what is only there because of them. Invariants: nothing
 * goes that something else still holds; a tag that is immutable goes neither by itself nor with what it
 * points at. The bytes are left to garbage collection.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isImmutable, type TagPolicy } from '../config/tag-policy.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { LinkKeeper } from './link-keeper.ts'
import { immutable, type Manifests } from './manifests.ts'
import type { ImageDeletionResult, RepositoryCounts } from './ports/collection-metadata.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { RequestContext } from './request-context.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly manifests: Pick<Manifests, 'forget'>
  readonly links: Pick<LinkKeeper, 'sync'>
}

interface Settings {
  readonly rowsPerDeletion: number
  readonly tagsPerPage: number
  readonly tagPolicy: TagPolicy
}

/** What went, or would go. */
export interface Deleted {
  readonly repository: RepositoryName
  readonly tags: readonly Tag[]
  readonly manifests: readonly Digest[]
}

export class Images {
  readonly #parts: Parts
  readonly #settings: Settings
  #tagPolicy: TagPolicy

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
    this.#tagPolicy = settings.tagPolicy
  }

  setTagPolicy(tagPolicy: TagPolicy): void {
    this.#tagPolicy = tagPolicy
  }

  /**
   * By tag: the tag, and the image if nothing else holds it. By digest: the image and all its tags.
   * @throws OciError MANIFEST_UNKNOWN, DENIED (405 while an index or a subject needs it, 409 when a tag
   *   is immutable)
   */
  async deleteImage(
    context: RequestContext,
    repository: RepositoryName,
    reference: Reference,
    { dryRun }: { readonly dryRun: boolean },
  ): Promise<Deleted> {
    const { metadata } = this.#parts
    const found = await metadata.findManifest(repository, reference)
    if (found === undefined) throw unknown(repository, reference)
    const isWhole = isDigestReference(reference)
    const tags = isWhole ? await metadata.listTagsOf(repository, found.digest) : [reference]
    const fixed = tags.find((tag) => isImmutable(this.#tagPolicy, repository, tag))
    if (fixed !== undefined) throw immutable(fixed)
    const result = await this.#write(repository, () =>
      metadata.deleteImage({ repository, digest: found.digest, tags, dryRun, whole: isWhole }),
    )
    const deleted = checked(repository, reference, result)
    if (!dryRun) context.log.info({ ...deleted, reference }, 'image deleted')
    return { repository, ...deleted }
  }

  /** @throws OciError NAME_UNKNOWN, DENIED (409) when a tag is immutable */
  async deleteRepository(
    context: RequestContext,
    repository: RepositoryName,
    { dryRun }: { readonly dryRun: boolean },
  ): Promise<RepositoryCounts & { readonly repository: RepositoryName }> {
    const { metadata } = this.#parts
    const counts = await metadata.countRepository(repository)
    if (counts === undefined) throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
    await this.#refuseFixed(repository)
    if (dryRun) return { repository, ...counts }
    for (let isGone = false; !isGone; await nextTurn()) {
      const part = await this.#write(repository, () =>
        metadata.deleteRepositoryPart(repository, this.#settings.rowsPerDeletion),
      )
      isGone = part.isGone
    }
    context.log.info({ repository, ...counts }, 'repository deleted')
    return { repository, ...counts }
  }

  async #refuseFixed(repository: RepositoryName): Promise<void> {
    const limit = this.#settings.tagsPerPage
    let after: Tag | undefined
    do {
      const page = { limit, ...(after !== undefined && { after }) }
      const tags = await this.#parts.metadata.listTags(repository, page)
      const fixed = tags.find((tag) => isImmutable(this.#tagPolicy, repository, tag))
      if (fixed !== undefined) throw immutable(fixed)
      after = tags.length < limit ? undefined : tags.at(-1)
    } while (after !== undefined)
  }

  /** A write that failed may have been done all the same. */
  async #write<T>(repository: RepositoryName, write: () => Promise<T>): Promise<T> {
    try {
      const result = await write()
      await this.#parts.links.sync()
      return result
    } finally {
      this.#parts.manifests.forget(repository)
    }
  }
}

function checked(
  repository: RepositoryName,
  reference: Reference,
  result: ImageDeletionResult,
): { tags: readonly Tag[]; manifests: readonly Digest[] } {
  if (result.outcome === 'deleted') return { tags: result.tags, manifests: result.manifests }
  if (result.outcome === 'unknown') throw unknown(repository, reference)
  throw new OciError('DENIED', {
    status: 405,
    message: `manifest ${result.digest} is needed by an index or is attached to another one: delete that first`,
    detail: { digest: result.digest },
  })
}

function unknown(repository: RepositoryName, reference: Reference): OciError {
  return new OciError('MANIFEST_UNKNOWN', {
    message: `manifest unknown to repository ${repository}`,
    detail: { reference },
  })
}
