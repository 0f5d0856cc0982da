/** The lists: tags (end-8), the catalog (distribution's), referrers (end-12). */
import { limits } from '../../config/limits.ts'
import { parseDigest } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-type.ts'
import type { Listings, Page, ReferrerDescriptor } from '../../registry/listings.ts'
import type { PullThrough } from '../../registry/pull-through.ts'
import type { Exchange, Route } from '../exchange.ts'
import { linkToNext, parsePage } from '../pagination.ts'
import type { Reply } from '../reply.ts'
import { aboutNamespace, proxyHeaders } from './proxy-headers.ts'
import { pullTargetOf } from './pull-target.ts'

interface Verbs {
  readonly listings: Listings
  readonly pullThrough: PullThrough
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
  const page = parsePage(exchange.query)
  const pull = pullTargetOf(exchange)
  const { entries, next } =
    pull.kind === 'local'
      ? await verbs.listings.listTags(pull.repository, page)
      : await aboutNamespace(pull, verbs.pullThrough.listTags(exchange.context, pull.target, page))
  const namespace = pull.kind === 'local' ? {} : { ns: pull.namespace }
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      ...(pull.kind === 'proxied' && proxyHeaders(pull, {})),
      ...(next !== undefined && {
        Link: linkToNext(exchange.path, { limit: page.limit, next }, namespace),
      }),
    },
    body: JSON.stringify({ name: exchange.parameters['repository'], tags: entries }),
  }
}

async function listRepositories(listings: Listings, exchange: Exchange): Promise<Reply> {
  const page = parsePage(exchange.query)
  const { entries, next } = await listings.listRepositories(page)
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      ...(next !== undefined && { Link: linkToNext(exchange.path, { limit: page.limit, next }) }),
    },
    body: JSON.stringify({ repositories: entries }),
  }
}

async function listReferrers(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const pull = pullTargetOf(exchange)
  const subject = parseDigest(exchange.parameters['digest'] ?? '')
  const bounds = {
    entriesDefault: limits.referrersPageEntriesMax,
    entriesMax: limits.referrersPageEntriesMax,
  }
  const page = parsePage(exchange.query, bounds)
  const artifactType = exchange.query.get('artifactType')
  const filter: { artifactType?: string } =
    artifactType === null || artifactType === '' ? {} : { artifactType }
  const { entries, next }: Page<ReferrerDescriptor> =
    pull.kind === 'local'
      ? await verbs.listings.listReferrers(pull.repository, subject, { ...page, ...filter })
      : {
          entries: await verbs.pullThrough.listReferrers(
            exchange.context,
            pull.target,
            subject,
            filter.artifactType,
          ),
        }
  return {
    status: 200,
    headers: {
      'Content-Type': mediaTypes.ociIndex,
      ...(pull.kind === 'proxied' && proxyHeaders(pull, {})),
      ...(filter.artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(next !== undefined && {
        Link: linkToNext(exchange.path, { limit: page.limit, next }, filter),
      }),
    },
    body: JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries }),
  }
}
