/**
 * Pages of tags, repositories and referrers, each in one stable order: the bytes of the names, the
 * bytes of the digests. A page says whether more follows and where.
 */
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { MetadataStore, PageRequest } from './ports/metadata-store.ts'
import type { Referrer } from './ports/records.ts'

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
    const bytesMax = this.#referrersBytesMax
    const read = { ...page, bytesMax }
    const { entries, hasMore } = await readReferrers(this.#metadata, repository, subject, read)
    const next = entries.at(-1)?.digest
    return { entries, ...(hasMore && next !== undefined && { next }) }
  }
}

/** Each may carry megabytes of annotations, so no more are read at once. */
const referrersPerQuery = 8

/**
 * As many as `limit` says and fit into `bytesMax` as JSON, for a page is a manifest itself, and clients
 * refuse those over 4 MiB; one always fits.
 */
export async function readReferrers(
  metadata: MetadataStore,
  repository: RepositoryName,
  subject: Digest,
  {
    limit,
    bytesMax,
    ...page
  }: PageRequest & { readonly artifactType?: string; readonly bytesMax: number },
): Promise<{ entries: Referrer[]; hasMore: boolean }> {
  const entries: Referrer[] = []
  let bytes = 0
  let after = page.after
  for (;;) {
    const wanted = Math.min(referrersPerQuery, limit + 1 - entries.length)
    const query = { ...page, limit: wanted, ...(after !== undefined && { after }) }
    const more = await metadata.listReferrers(repository, subject, query)
    for (const referrer of more) {
      bytes += Buffer.byteLength(JSON.stringify(referrer)) + 1
      const isTooMuch = entries.length > 0 && bytes > bytesMax
      if (entries.length === limit || isTooMuch) return { entries, hasMore: true }
      entries.push(referrer)
    }
    if (more.length < wanted) return { entries, hasMore: false }
    after = more.at(-1)?.digest
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
