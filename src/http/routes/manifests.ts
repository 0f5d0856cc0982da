/** Manifests and tags: HEAD, GET, PUT, DELETE (specification, end-3, end-7 and end-9). */
import { limits } from '../../config/limits.ts'
import { OciError } from '../../oci/errors.ts'
import { isDigestReference, parseReference } from '../../oci/reference.ts'
import { parseTag, type Tag } from '../../oci/tag.ts'
import type { Manifests } from '../../registry/manifests.ts'
import { etagOf, matchesIfNoneMatch } from '../conditional.ts'
import type { Exchange, Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'
import { repositoryOf } from './repository.ts'

export function manifestRoutes(manifests: Manifests): Route[] {
  const read = {
    access: 'pull',
    handle: (exchange: Exchange) => getManifest(manifests, exchange),
  } as const
  return [
    {
      name: 'manifest',
      pattern: '/v2/:repository/manifests/:reference',
      endpoints: {
        HEAD: read,
        GET: read,
        PUT: { access: 'push', handle: (exchange) => putManifest(manifests, exchange) },
        DELETE: { access: 'delete', handle: (exchange) => deleteManifest(manifests, exchange) },
      },
    },
  ]
}

/** Whatever Accept says: the bytes are what was pushed, and are never converted. */
async function getManifest(manifests: Manifests, exchange: Exchange): Promise<Reply> {
  const reference = parseReference(exchange.parameters['reference'] ?? '')
  const repository = repositoryOf(exchange)
  const manifest = await manifests.getManifest(exchange.context, repository, reference)
  const etag = etagOf(manifest.digest)
  const headers = {
    ETag: etag,
    // A tag moves: a cache may keep the answer but has to ask each time whether it still holds.
    'Cache-Control': isDigestReference(reference) ? 'max-age=31536000, immutable' : 'no-cache',
    'Docker-Content-Digest': manifest.digest,
  }
  if (matchesIfNoneMatch(exchange.headers['if-none-match'], etag)) return { status: 304, headers }
  return {
    status: 200,
    headers: { ...headers, 'Content-Type': manifest.mediaType },
    body: manifest.bytes,
  }
}

async function putManifest(manifests: Manifests, exchange: Exchange): Promise<Reply> {
  const repository = repositoryOf(exchange)
  const reference = parseReference(exchange.parameters['reference'] ?? '')
  const tags = parseTags(exchange.query)
  const bytes = await exchange.body.read(limits.manifestBytesMax, 'SIZE_INVALID')
  const contentType = exchange.headers['content-type']
  const pushed = await manifests.putManifest(exchange.context, repository, {
    reference,
    bytes,
    contentType,
    tags,
  })
  return {
    status: 201,
    headers: {
      Location: `${exchange.locationBase}/v2/${repository}/manifests/${pushed.digest}`,
      'Docker-Content-Digest': pushed.digest,
      ...(pushed.subject !== undefined && { 'OCI-Subject': pushed.subject }),
      ...(tags.length > 0 && { 'OCI-Tag': tags.join(', ') }),
    },
  }
}

async function deleteManifest(manifests: Manifests, exchange: Exchange): Promise<Reply> {
  const reference = parseReference(exchange.parameters['reference'] ?? '')
  await manifests.deleteManifest(exchange.context, repositoryOf(exchange), reference)
  return { status: 202 }
}

/** `?tag=a&tag=b` (specification, "Pushing Manifests"). */
function parseTags(query: URLSearchParams): Tag[] {
  const tags = query.getAll('tag')
  if (tags.length > limits.tagsPerPushMax) {
    throw new OciError('TAG_INVALID', {
      status: 414,
      message: `${tags.length} tags are too many for one push: at most ${limits.tagsPerPushMax}`,
    })
  }
  return [...new Set(tags.map((tag) => parseTag(tag)))]
}
