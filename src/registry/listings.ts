/**
 * Pages of tags, repositories and referrers, each in one stable order: the bytes of the names, the
 * bytes of the digests. A page says whether more follows and where.
 */
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { MetadataStore, PageRequest, Referrer } from './ports.ts'

export interface Page<T> {
  readonly entries: T[]
  /** Ask with `after` of this for the next page; undefined on the last one. */
  readonly next?: string
}

export type ReferrerDescriptor = Pick<Descriptor, 'mediaType' | 'digest' | 'size'> &
  Pick<Referrer, 'artifactType' | 'annotations'>

export class Listings {
  readonly #metadata: MetadataStore
  readonly #referrersBytesMax: number

  constructor(metadata: MetadataStore, settings: { referrersBytesMax: number }) {
    this.#metadata = metadata
    this.#referrersBytesMax = settings.referrersBytesMax
  }

  /** @throws OciError NAME_UNKNOWN */
  async listTags(repository: RepositoryName, page: PageRequest): Promise<Page<Tag>> {
    const tags = await this.#metadata.listTags(repository, oneMore(page))
    if (tags.length === 0 && !(await this.#metadata.hasRepository(repository))) {
      throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
    }
    return cutPage(tags, page.limit, (tag) => tag)
  }

  async listRepositories(page: PageRequest): Promise<Page<RepositoryName>> {
    const repositories = await this.#metadata.listRepositories(oneMore(page))
    return cutPage(repositories, page.limit, (repository) => repository)
  }

  /** An unknown subject has no referrers, which is no error (specification, "Listing Referrers"). */
  async listReferrers(
    repository: RepositoryName,
    subject: Digest,
    page: PageRequest & { readonly artifactType?: string },
  ): Promise<Page<ReferrerDescriptor>> {
    const referrers = await this.#metadata.listReferrers(repository, subject, oneMore(page))
    const fitting = Math.min(page.limit, this.#countFitting(referrers))
    return cutPage(referrers, fitting, (referrer) => referrer.digest)
  }

  /** A page is a manifest itself, and clients refuse manifests over 4 MiB; one always fits. */
  #countFitting(referrers: readonly Referrer[]): number {
    let bytes = 0
    let count = 0
    for (const referrer of referrers) {
      bytes += Buffer.byteLength(JSON.stringify(referrer)) + 1
      if (count > 0 && bytes > this.#referrersBytesMax) break
      count += 1
    }
    return count
  }
}

/** One entry more than asked for tells whether another page follows. */
export function oneMore<T extends PageRequest>(page: T): T {
  return { ...page, limit: page.limit + 1 }
}

export function cutPage<T>(entries: T[], limit: number, keyOf: (entry: T) => string): Page<T> {
  if (entries.length <= limit) return { entries }
  const kept = entries.slice(0, limit)
  const last = kept.at(-1)
  return last === undefined ? { entries: kept } : { entries: kept, next: keyOf(last) }
}
