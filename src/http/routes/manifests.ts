/** Manifests and tags: HEAD, GET, PUT, DELETE (specification, end-3, end-7 and end-9). */
import type { Admission } from '../../admission/admission.ts'
import { limits } from '../../config/limits.ts'
import { OciError } from '../../oci/errors.ts'
import { isDigestReference, parseReference, type Reference } from '../../oci/reference.ts'
import { parseTag, type Tag } from '../../oci/tag.ts'
import type { StoredManifest } from '../../registry/manifest-cache.ts'
import type { Manifests } from '../../registry/manifests.ts'
import type { PullCounts } from '../../registry/pull-counts.ts'
import type { PullThrough } from '../../registry/pull-through.ts'
import type { StorageRoom } from '../../registry/storage-room.ts'
import { etagOf, matchesIfNoneMatch } from '../conditional.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Exchange, Route } from '../exchange.ts'
import { requireAllowedPull } from '../pull-policy.ts'
import type { Reply } from '../reply.ts'
import { aboutUpstream, proxyHeaders } from './proxy-headers.ts'
import { localRepositoryOf, pullTargetOf } from './pull-target.ts'

interface Verbs {
  readonly manifests: Manifests
  readonly pullThrough: PullThrough
  readonly admission: Admission
  readonly metrics: Metrics
  readonly pullCounts: PullCounts
  readonly room: StorageRoom
}

export function manifestRoutes(verbs: Verbs): Route[] {
  const { manifests } = verbs
  const read = {
    access: 'pull',
    handle: (exchange: Exchange) => getManifest(verbs, exchange),
  } as const
  return [
    {
      name: 'manifest',
      pattern: '/v2/:repository/manifests/:reference',
      endpoints: {
        HEAD: read,
        GET: read,
        PUT: { access: 'push', handle: (exchange) => putManifest(verbs, exchange) },
        DELETE: { access: 'delete', handle: (exchange) => deleteManifest(manifests, exchange) },
      },
    },
  ]
}

/** Whatever Accept says: the bytes are what was pushed, and are never converted. */
async function getManifest(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const reference = parseReference(exchange.parameters['reference'] ?? '')
  const pulled = await pullManifest(verbs, exchange, reference)
  const { manifest } = pulled
  const etag = etagOf(manifest.digest)
  const headers: Record<string, string> = {
    ...pulled.headers,
    ETag: etag,
    // A tag moves: a cache may keep the answer but has to ask each time whether it still holds.
    'Cache-Control': isDigestReference(reference) ? 'max-age=31536000, immutable' : 'no-cache',
    'Docker-Content-Digest': manifest.digest,
  }
  if (matchesIfNoneMatch(exchange.headers['if-none-match'], etag)) return { status: 304, headers }
  if (exchange.method !== 'HEAD') pulled.countSent?.()
  headers['Content-Type'] = manifest.mediaType
  return { status: 200, headers, body: manifest.bytes }
}

interface PulledManifest {
  readonly manifest: StoredManifest
  readonly headers: Record<string, string>
  /** To be called when its bytes are sent. */
  readonly countSent?: () => void
}

/** Of this registry, or of another one through the cache. */
async function pullManifest(
  verbs: Verbs,
  exchange: Exchange,
  reference: Reference,
): Promise<PulledManifest> {
  const { manifests, pullThrough, pullCounts } = verbs
  const { context } = exchange
  const pull = await pullTargetOf(exchange, pullThrough)
  requireAllowedPull(verbs, exchange, pull, reference)
  if (pull.kind === 'local') {
    const manifest = await manifests.getManifest(context, pull.repository, reference)
    return { manifest, headers: {} }
  }
  const { host } = pull.target
  const pulling = pullThrough.getManifest(context, pull.target, reference)
  const pulled = await aboutUpstream(pull, pullCounts.track(host, 'manifest', pulling))
  const { manifest, status } = pulled
  const countSent = () => pullCounts.countSent(host, status, manifest.bytes.length)
  return { manifest, headers: proxyHeaders(pull, pulled), countSent }
}

async function putManifest({ manifests, room }: Verbs, exchange: Exchange): Promise<Reply> {
  const repository = localRepositoryOf(exchange)
  const reference = parseReference(exchange.parameters['reference'] ?? '')
  const tags = parseTags(exchange.query)
  const bytes = await exchange.body.read(limits.manifestBytesMax, 'SIZE_INVALID')
  await room.require(bytes.length)
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
  await manifests.deleteManifest(exchange.context, localRepositoryOf(exchange), reference)
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
