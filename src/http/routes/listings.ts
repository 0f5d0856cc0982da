/** The lists: tags (end-8), the catalog (distribution's), referrers (end-12). */
import { limits } from '../../config/limits.ts'
import { parseDigest } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-type.ts'
import type { Tag } from '../../oci/tag.ts'
import type { Listings, Page, ReferrerDescriptor } from '../../registry/listings.ts'
import type { PageRequest } from '../../registry/ports/metadata-store.ts'
import type { ProxiedListings } from '../../registry/proxied-listings.ts'
import type { PullThrough } from '../../registry/pull-through.ts'
import type { PullCounts } from '../../registry/pull-counts.ts'
import type { Exchange, Route } from '../exchange.ts'
import { linkToNext, parsePage } from '../pagination.ts'
import type { Reply } from '../reply.ts'
import { aboutUpstream, proxyHeaders } from './proxy-headers.ts'
import { pullTargetOf } from './pull-target.ts'

interface Verbs {
  readonly listings: Listings
  readonly proxiedListings: ProxiedListings
  readonly pullThrough: PullThrough
  readonly pullCounts: PullCounts
}

/** A page, and what the cache has to say of it. */
interface Listed<T> {
  readonly page: Page<T>
  readonly headers: Readonly<Record<string, string>>
}

export function listingRoutes(verbs: Verbs): Route[] {
  const tags = {
    access: 'pull',
    handle: (exchange: Exchange) => listTags(verbs, exchange),
  } as const
  const catalog = {
    access: 'catalog',
    handle: (exchange: Exchange) => listRepositories(verbs.listings, exchange),
  } as const
  const referrers = {
    access: 'pull',
    handle: (exchange: Exchange) => listReferrers(verbs, exchange),
  } as const
  return [
    { name: 'catalog', pattern: '/v2/_catalog', endpoints: { GET: catalog, HEAD: catalog } },
    { name: 'tags', pattern: '/v2/:repository/tags/list', endpoints: { GET: tags, HEAD: tags } },
    {
      name: 'referrers',
      pattern: '/v2/:repository/referrers/:digest',
      endpoints: { GET: referrers, HEAD: referrers },
    },
  ]
}

async function listTags(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const request = parsePage(exchange.query)
  const { page, headers } = await findTags(verbs, exchange, request)
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      ...headers,
      ...linkHeader(exchange, request, page, { ns: exchange.query.get('ns') ?? undefined }),
    },
    body: JSON.stringify({ name: exchange.parameters['repository'], tags: page.entries }),
  }
}

async function findTags(
  { listings, proxiedListings, pullThrough, pullCounts }: Verbs,
  exchange: Exchange,
  request: PageRequest,
): Promise<Listed<Tag>> {
  const pull = await pullTargetOf(exchange, pullThrough)
  if (pull.kind === 'local') {
    return { page: await listings.listTags(pull.repository, request), headers: {} }
  }
  const listing = proxiedListings.listTags(exchange.context, pull.target, request)
  const listed = await aboutUpstream(pull, pullCounts.track(pull.target.host, 'tags', listing))
  return { page: listed, headers: proxyHeaders(pull, listed) }
}

async function listRepositories(listings: Listings, exchange: Exchange): Promise<Reply> {
  const request = parsePage(exchange.query)
  const page = await listings.listRepositories(request)
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', ...linkHeader(exchange, request, page) },
    body: JSON.stringify({ repositories: page.entries }),
  }
}

async function listReferrers(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const bounds = {
    entriesDefault: limits.referrersPageEntriesMax,
    entriesMax: limits.referrersPageEntriesMax,
  }
  const asked = exchange.query.get('artifactType')
  const filter: { artifactType?: string } =
    asked === null || asked === '' ? {} : { artifactType: asked }
  const request = { ...parsePage(exchange.query, bounds), ...filter }
  const { page, headers } = await findReferrers(verbs, exchange, request)
  const manifests = page.entries
  return {
    status: 200,
    headers: {
      'Content-Type': mediaTypes.ociIndex,
      ...headers,
      ...(filter.artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...linkHeader(exchange, request, page, filter),
    },
    body: JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }),
  }
}

async function findReferrers(
  { listings, proxiedListings, pullThrough, pullCounts }: Verbs,
  exchange: Exchange,
  request: PageRequest & { readonly artifactType?: string },
): Promise<Listed<ReferrerDescriptor>> {
  const pull = await pullTargetOf(exchange, pullThrough)
  const subject = parseDigest(exchange.parameters['digest'] ?? '')
  if (pull.kind === 'local') {
    return { page: await listings.listReferrers(pull.repository, subject, request), headers: {} }
  }
  const { context } = exchange
  const { host } = pull.target
  const listing = proxiedListings.listReferrers(context, pull.target, subject, request.artifactType)
  const listed = await aboutUpstream(pull, pullCounts.track(host, 'referrers', listing))
  return { page: listed, headers: proxyHeaders(pull, listed) }
}

/** @param kept query parameters that the next page needs too. */
function linkHeader(
  { path }: Exchange,
  { limit }: PageRequest,
  { next }: Page<unknown>,
  kept: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  return next === undefined ? {} : { Link: linkToNext(path, { limit, next }, kept) }
}
