/** Blobs: HEAD, GET with ranges, DELETE (specification, end-2 and end-10). */
import { limits } from '../../config/limits.ts'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { OciError } from '../../oci/errors.ts'
import { mediaTypes } from '../../oci/media-type.ts'
import type { Blobs } from '../../registry/blobs.ts'
import type { PullCounts } from '../../registry/pull-counts.ts'
import type { PullThrough } from '../../registry/pull-through.ts'
import type { BlobReader } from '../../registry/ports/blob-store.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import { etagOf, matchesIfNoneMatch, matchesIfRange } from '../conditional.ts'
import type { Exchange, Route } from '../exchange.ts'
import { contentRange, multipartRanges } from '../multipart-ranges.ts'
import { parseRange, type RangeRequest } from '../range.ts'
import type { Reply, StreamedBody } from '../reply.ts'
import { aboutUpstream, proxyHeaders } from './proxy-headers.ts'
import { localRepositoryOf, pullTargetOf } from './pull-target.ts'

interface Verbs {
  readonly blobs: Blobs
  readonly pullThrough: PullThrough
  readonly pullCounts: PullCounts
}

type Headers = Record<string, string>

export function blobRoutes(verbs: Verbs): Route[] {
  return [
    {
      name: 'blob',
      pattern: '/v2/:repository/blobs/:digest',
      endpoints: {
        HEAD: { access: 'pull', handle: (exchange) => headBlob(verbs, exchange) },
        GET: { access: 'pull', handle: (exchange) => getBlob(verbs, exchange) },
        DELETE: { access: 'delete', handle: (exchange) => deleteBlob(verbs.blobs, exchange) },
      },
    },
  ]
}

async function headBlob(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const digest = parseDigest(exchange.parameters['digest'] ?? '')
  const { blob, headers } = await findBlob(verbs, exchange, digest)
  if (notModified(exchange, digest)) {
    return { status: 304, headers: { ...headers, ...immutableHeaders(digest) } }
  }
  return {
    status: 200,
    headers: { ...headers, ...contentHeaders(digest), 'Content-Length': String(blob.size) },
  }
}

async function findBlob(
  { blobs, pullThrough, pullCounts }: Verbs,
  exchange: Exchange,
  digest: Digest,
): Promise<{ blob: BlobRecord; headers: Headers }> {
  const { context } = exchange
  const pull = await pullTargetOf(exchange, pullThrough)
  if (pull.kind === 'local') {
    return { blob: await blobs.getBlob(context, pull.repository, digest), headers: {} }
  }
  const { host } = pull.target
  const finding = pullThrough.getBlob(context, pull.target, digest)
  const pulled = await aboutUpstream(pull, pullCounts.track(host, 'blob', finding))
  return { blob: pulled.blob, headers: proxyHeaders(pull, pulled) }
}

async function openBlob(
  { blobs, pullThrough, pullCounts }: Verbs,
  exchange: Exchange,
  digest: Digest,
): Promise<{ reader: BlobReader; headers: Headers }> {
  const pull = await pullTargetOf(exchange, pullThrough)
  if (pull.kind === 'local') {
    return { reader: await blobs.openBlob(exchange.context, pull.repository, digest), headers: {} }
  }
  const { host } = pull.target
  const opening = pullThrough.openBlob(exchange.context, pull.target, digest)
  const opened = await aboutUpstream(pull, pullCounts.track(host, 'blob', opening))
  const reader = pullCounts.watch(host, opened.status, opened.reader)
  return { reader, headers: proxyHeaders(pull, opened) }
}

async function getBlob(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const digest = parseDigest(exchange.parameters['digest'] ?? '')
  const { reader, headers } = await openBlob(verbs, exchange, digest)
  if (notModified(exchange, digest)) {
    await reader[Symbol.asyncDispose]()
    return { status: 304, headers: { ...headers, ...immutableHeaders(digest) } }
  }
  const wanted = wantedRange(exchange, digest, reader.size)
  if (wanted.kind !== 'unsatisfiable') {
    const reply = blobReply(reader, digest, wanted)
    return { ...reply, headers: { ...headers, ...reply.headers } }
  }
  await reader[Symbol.asyncDispose]()
  throw new OciError('RANGE_INVALID', {
    message: `the requested range is outside of the blob, which has ${reader.size} bytes`,
    headers: { 'Content-Range': `bytes */${reader.size}` },
  })
}

async function deleteBlob(blobs: Blobs, exchange: Exchange): Promise<Reply> {
  const digest = parseDigest(exchange.parameters['digest'] ?? '')
  await blobs.deleteBlob(exchange.context, localRepositoryOf(exchange), digest)
  return { status: 202, headers: { 'Docker-Content-Digest': digest } }
}

function wantedRange(exchange: Exchange, digest: Digest, size: number): RangeRequest {
  const ifRange = exchange.headers['if-range']
  if (!matchesIfRange(typeof ifRange === 'string' ? ifRange : undefined, etagOf(digest))) {
    return { kind: 'all' }
  }
  return parseRange(exchange.headers.range, size, limits.rangesPerRequestMax)
}

function blobReply(
  reader: BlobReader,
  digest: Digest,
  wanted: Exclude<RangeRequest, { kind: 'unsatisfiable' }>,
): Reply {
  const headers = contentHeaders(digest)
  if (wanted.kind === 'all') {
    return { status: 200, headers, body: streamed(reader, reader.size, () => reader.read()) }
  }
  const [range, ...more] = wanted.ranges
  if (range !== undefined && more.length === 0) {
    return {
      status: 206,
      headers: { ...headers, 'Content-Range': contentRange(range, reader.size) },
      body: streamed(reader, range.endInclusive - range.start + 1, () => reader.read(range)),
    }
  }
  const multipart = multipartRanges(reader, wanted.ranges)
  return {
    status: 206,
    headers: { ...headers, 'Content-Type': multipart.contentType },
    body: multipart.body,
  }
}

function streamed(
  reader: BlobReader,
  length: number,
  chunks: () => AsyncIterable<Uint8Array>,
): StreamedBody {
  return { length, chunks, [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose]() }
}

function notModified(exchange: Exchange, digest: Digest): boolean {
  return matchesIfNoneMatch(exchange.headers['if-none-match'], etagOf(digest))
}

/** What is asked for by digest never changes. */
function immutableHeaders(digest: Digest): Record<string, string> {
  return {
    ETag: etagOf(digest),
    'Cache-Control': 'max-age=31536000, immutable',
    'Docker-Content-Digest': digest,
  }
}

function contentHeaders(digest: Digest): Record<string, string> {
  return {
    ...immutableHeaders(digest),
    'Content-Type': mediaTypes.octetStream,
    'Accept-Ranges': 'bytes',
  }
}
