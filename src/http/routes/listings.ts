/** The lists: tags (end-8), the catalog (distribution's), referrers (end-12). */
import { limits } from '../../config/limits.ts'
import { parseDigest } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-type.ts'
import type { Listings } from '../../registry/listings.ts'
import type { Exchange, Route } from '../exchange.ts'
import { linkToNext, parsePage } from '../pagination.ts'
import type { Reply } from '../reply.ts'
import { repositoryOf } from './repository.ts'

export function listingRoutes(listings: Listings): Route[] {
  const tags = {
    access: 'pull',
    handle: (exchange: Exchange) => listTags(listings, exchange),
  } as const
  const catalog = {
    access: 'catalog',
    handle: (exchange: Exchange) => listRepositories(listings, exchange),
  } as const
  const referrers = {
    access: 'pull',
    handle: (exchange: Exchange) => listReferrers(listings, exchange),
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

async function listTags(listings: Listings, exchange: Exchange): Promise<Reply> {
  const name = repositoryOf(exchange)
  const page = parsePage(exchange.query)
  const { entries, next } = await listings.listTags(name, page)
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      ...(next !== undefined && { Link: linkToNext(exchange.path, { limit: page.limit, next }) }),
    },
    body: JSON.stringify({ name, tags: entries }),
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

async function listReferrers(listings: Listings, exchange: Exchange): Promise<Reply> {
  const repository = repositoryOf(exchange)
  const subject = parseDigest(exchange.parameters['digest'] ?? '')
  const bounds = {
    entriesDefault: limits.referrersPageEntriesMax,
    entriesMax: limits.referrersPageEntriesMax,
  }
  const page = parsePage(exchange.query, bounds)
  const artifactType = exchange.query.get('artifactType')
  const filter = artifactType === null || artifactType === '' ? {} : { artifactType }
  const { entries, next } = await listings.listReferrers(repository, subject, {
    ...page,
    ...filter,
  })
  return {
    status: 200,
    headers: {
      'Content-Type': mediaTypes.ociIndex,
      ...(filter.artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      ...(next !== undefined && {
        Link: linkToNext(exchange.path, { limit: page.limit, next }, filter),
      }),
    },
    body: JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries }),
  }
}
