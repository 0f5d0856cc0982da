/**
 * Lists of upstreams' repositories, which are not kept: what the upstream answers now, and while it
 * cannot be asked, what is cached.
 */
import type { Digest } from '../oci/digest.ts'
import { formatProxiedName } from '../oci/proxied-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { Pulled } from './cache-status.ts'
import { cutPage, oneMore, type Page, readReferrers } from './listings.ts'
import type { MetadataStore, PageRequest } from './ports/metadata-store.ts'
import type { Referrer } from './ports/records.ts'
import type { Upstream, UpstreamRepository } from './ports/upstream.ts'
import type { RequestContext } from './request-context.ts'
import type { StaleCopies } from './stale-copies.ts'
import { isDefinite, isGone, translateUpstreamError } from './upstream-failure.ts'

interface Parts {
  readonly upstream: Upstream
  readonly metadata: MetadataStore
  readonly staleCopies: StaleCopies
}

interface Settings {
  readonly referrersMax: number
  readonly referrersBytesMax: number
}

export class ProxiedListings {
  readonly #parts: Parts
  readonly #settings: Settings

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
  }

  /** @throws OciError NAME_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE, DENIED */
  async listTags(
    context: RequestContext,
    target: UpstreamRepository,
    page: PageRequest,
  ): Promise<Pulled & Page<Tag>> {
    const { upstream, metadata, staleCopies } = this.#parts
    try {
      const listed = await upstream.listTags(target, page, context)
      return { ...listed, status: 'MISS' }
    } catch (error) {
      const cached = await metadata.listTags(formatProxiedName(target), oneMore(page))
      if (cached.length === 0 || isGone(error)) {
        throw translateUpstreamError(error, 'NAME_UNKNOWN')
      }
      const listed = cutPage(cached, page.limit, (tag) => tag)
      return { ...listed, ...staleCopies.serve(context, target, error) }
    }
  }

  /** All of them: upstreams' lists are short. */
  async listReferrers(
    context: RequestContext,
    target: UpstreamRepository,
    subject: Digest,
    artifactType: string | undefined,
  ): Promise<Pulled & { readonly entries: Referrer[] }> {
    const { upstream, metadata, staleCopies } = this.#parts
    try {
      const all = await upstream.listReferrers(target, subject, context)
      const entries = all.filter(
        (referrer) => artifactType === undefined || referrer.artifactType === artifactType,
      )
      return { entries, status: 'MISS' }
    } catch (error) {
      if (isDefinite(error)) return { entries: [], status: 'MISS' }
      const filter = artifactType === undefined ? {} : { artifactType }
      const { referrersMax: limit, referrersBytesMax: bytesMax } = this.#settings
      const page = { limit, bytesMax, ...filter }
      const repository = formatProxiedName(target)
      const { entries } = await readReferrers(metadata, repository, subject, page)
      return { entries, ...staleCopies.serve(context, target, error) }
    }
  }
}
