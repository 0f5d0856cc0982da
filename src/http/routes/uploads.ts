/** Upload sessions (specification, "Pushing blobs"; end-4 to end-6, end-11, end-13 and end-14). */
import { parseDigest, parseDigestAlgorithm } from '../../oci/digest.ts'
import { OciError } from '../../oci/errors.ts'
import {
  isRepositoryName,
  parseRepositoryName,
  type RepositoryName,
} from '../../oci/repository-name.ts'
import type { Mounts } from '../../registry/mounts.ts'
import type { BlobRecord, UploadRecord } from '../../registry/ports/records.ts'
import { type Chunk, uploadLocation, uploadRange } from '../../registry/upload-session.ts'
import type { StorageRoom } from '../../registry/storage-room.ts'
import type { Uploads } from '../../registry/uploads.ts'
import type { Exchange, Route } from '../exchange.ts'
import { parseContentRange } from '../range.ts'
import type { Reply } from '../reply.ts'
import { localRepositoryOf } from './pull-target.ts'

interface Verbs {
  readonly uploads: Uploads
  readonly mounts: Mounts
  readonly room: StorageRoom
}

export function uploadRoutes(verbs: Verbs): Route[] {
  const { uploads } = verbs
  const start = {
    access: 'push',
    source: mountSource,
    handle: (exchange: Exchange) => startUpload(verbs, exchange),
  } as const
  return [
    { name: 'uploads', pattern: '/v2/:repository/blobs/uploads/', endpoints: { POST: start } },
    { name: 'uploads', pattern: '/v2/:repository/blobs/uploads', endpoints: { POST: start } },
    {
      name: 'upload',
      pattern: '/v2/:repository/blobs/uploads/:session',
      endpoints: {
        GET: { access: 'push', handle: (exchange) => getUpload(uploads, exchange) },
        PATCH: { access: 'push', handle: (exchange) => appendToUpload(verbs, exchange) },
        PUT: { access: 'push', handle: (exchange) => completeUpload(verbs, exchange) },
        DELETE: { access: 'push', handle: (exchange) => cancelUpload(uploads, exchange) },
      },
    },
  ]
}

/** A name that is none is refused when the mount is tried. */
function mountSource(query: URLSearchParams): RepositoryName | undefined {
  const from = query.get('from')
  return query.has('mount') && from !== null && isRepositoryName(from) ? from : undefined
}

async function startUpload(verbs: Verbs, exchange: Exchange): Promise<Reply> {
  const { uploads, mounts, room } = verbs
  const repository = localRepositoryOf(exchange)
  const { query, context } = exchange
  const mount = query.get('mount')
  if (mount !== null) {
    const from = query.get('from')
    const blob = await mounts.mountBlob(context, repository, parseDigest(mount), {
      ...(from !== null && { from: parseRepositoryName(from) }),
    })
    if (blob !== undefined) return created(exchange, repository, blob)
    // A blob that cannot be mounted begins an ordinary upload (specification, "Mounting a blob").
    return accepted(exchange, await uploads.startUpload(repository, 'sha256'))
  }
  const digest = query.get('digest')
  if (digest !== null) {
    const chunk = chunkOf(exchange, room)
    const blob = await uploads.pushBlob(context, repository, parseDigest(digest), chunk)
    return created(exchange, repository, blob)
  }
  await room.require(0)
  const algorithm = parseDigestAlgorithm(query.get('digest-algorithm') ?? 'sha256')
  return accepted(exchange, await uploads.startUpload(repository, algorithm))
}

async function getUpload(uploads: Uploads, exchange: Exchange): Promise<Reply> {
  const upload = await uploads.getUpload(localRepositoryOf(exchange), sessionOf(exchange))
  return { status: 204, headers: sessionHeaders(exchange, upload) }
}

async function appendToUpload({ uploads, room }: Verbs, exchange: Exchange): Promise<Reply> {
  const upload = await uploads.appendToUpload(
    localRepositoryOf(exchange),
    sessionOf(exchange),
    chunkOf(exchange, room),
  )
  return accepted(exchange, upload)
}

async function completeUpload({ uploads, room }: Verbs, exchange: Exchange): Promise<Reply> {
  const repository = localRepositoryOf(exchange)
  const digest = exchange.query.get('digest')
  if (digest === null) {
    throw new OciError('DIGEST_INVALID', {
      message:
        'the query parameter digest is missing: it says what the upload is to be verified by',
    })
  }
  const completion = { digest: parseDigest(digest), chunk: chunkOf(exchange, room) }
  const session = sessionOf(exchange)
  const blob = await uploads.completeUpload(exchange.context, repository, session, completion)
  return created(exchange, repository, blob)
}

async function cancelUpload(uploads: Uploads, exchange: Exchange): Promise<Reply> {
  await uploads.cancelUpload(localRepositoryOf(exchange), sessionOf(exchange))
  return { status: 204 }
}

function sessionOf(exchange: Exchange): string {
  return exchange.parameters['session'] ?? ''
}

/** @throws OciError BLOB_UPLOAD_INVALID for a Content-Range that says nothing. */
function chunkOf(exchange: Exchange, room: StorageRoom): Chunk {
  const { body, headers } = exchange
  const header = headers['content-range']
  const range = header === undefined ? undefined : parseContentRange(header)
  if (header !== undefined && range === undefined) {
    throw new OciError('BLOB_UPLOAD_INVALID', {
      message: 'the Content-Range header must be <start>-<end>, both inclusive',
      detail: { contentRange: header.slice(0, 100) },
    })
  }
  const { length } = body
  return {
    bytes: room.guard(body.stream(), length),
    ...(length !== undefined && { length }),
    ...(range && { range }),
  }
}

function sessionHeaders(exchange: Exchange, upload: UploadRecord): Record<string, string> {
  return {
    Location: exchange.locationBase + uploadLocation(upload.repository, upload.id),
    Range: uploadRange(upload.offset),
    'Docker-Upload-UUID': upload.id,
  }
}

function accepted(exchange: Exchange, upload: UploadRecord): Reply {
  return { status: 202, headers: sessionHeaders(exchange, upload) }
}

function created(exchange: Exchange, repository: RepositoryName, blob: BlobRecord): Reply {
  return {
    status: 201,
    headers: {
      Location: `${exchange.locationBase}/v2/${repository}/blobs/${blob.digest}`,
      'Docker-Content-Digest': blob.digest,
    },
  }
}
