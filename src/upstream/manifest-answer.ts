/**
 * Manifests as they come back from another registry: the bytes must have the digest that was asked
 * for and the one that the answer claims, and their media type is found even where the header does
 * not name it (some registries send `text/plain`).
 */
import { limits } from '../config/limits.ts'
import { type Digest, digestAlgorithm, digestOf, isDigest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { parseManifest } from '../oci/manifest.ts'
import { essence, isManifestMediaType, mediaTypes } from '../oci/media-type.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import {
  contentError,
  contentLength,
  headerOf,
  readBody,
  type UpstreamResponse,
} from './exchange.ts'

/** All types in one header: some registries answer 404 when the one they have is not listed. */
export const acceptedManifests = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerList,
  mediaTypes.dockerManifest,
  mediaTypes.ociArtifact,
].join(', ')

export interface UpstreamManifest {
  /** As they came; they hash to `digest`. */
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly digest: Digest
  /** What answered could not ask whether it is current. */
  readonly isStale?: true
}

/** What a HEAD tells; `manifest` where it was of no use and a GET had to do. */
export interface UpstreamManifestHead {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly isStale?: true
  readonly manifest?: UpstreamManifest
}

export async function readManifest(
  response: UpstreamResponse,
  reference: Reference,
  signal: AbortSignal,
): Promise<UpstreamManifest> {
  const bytes = await readBody(response, limits.manifestBytesMax, signal)
  const claimed = claimedDigest(response)
  const asked = isDigestReference(reference) ? reference : undefined
  if (asked !== undefined) checkDigest(response.url, bytes, asked)
  if (claimed !== undefined) checkDigest(response.url, bytes, claimed)
  const digest = asked ?? claimed ?? digestOf(bytes)
  return { bytes, mediaType: mediaTypeOf(response, bytes), digest, ...staleness(response) }
}

/** @returns undefined when the answer leaves out what only a GET can tell then. */
export function readHead(
  response: UpstreamResponse,
  reference: Reference,
): UpstreamManifestHead | undefined {
  const mediaType = essence(headerOf(response.headers, 'content-type') ?? '')
  const size = contentLength(response.headers)
  const digest = isDigestReference(reference) ? reference : claimedDigest(response)
  if (!isManifestMediaType(mediaType) || !size || digest === undefined) return undefined
  return { mediaType, digest, size, ...staleness(response) }
}

/** @throws UpstreamError when the bytes are not what the digest says. */
export function checkDigest(url: URL, bytes: Uint8Array, digest: Digest): void {
  const actual = digestOf(bytes, digestAlgorithm(digest))
  if (actual !== digest) {
    throw contentError(url, `wrong content: ${digest} is expected, its bytes have ${actual}`)
  }
}

/** A registry like this one says so of a copy whose own upstream fails it. */
function staleness({ headers }: UpstreamResponse): { isStale?: true } {
  return headerOf(headers, 'x-cache') === 'STALE' ? { isStale: true } : {}
}

function claimedDigest({ headers }: UpstreamResponse): Digest | undefined {
  const claimed = headerOf(headers, 'docker-content-digest') ?? ''
  return isDigest(claimed) ? claimed : undefined
}

function mediaTypeOf(response: UpstreamResponse, bytes: Uint8Array): string {
  const named = essence(headerOf(response.headers, 'content-type') ?? '')
  if (isManifestMediaType(named)) return named
  try {
    return parseManifest(bytes, named).mediaType
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    throw contentError(response.url, error.message, error)
  }
}
