/**
 * A blob on its way from another registry: its bytes as they arrive, exactly as the registry stores
 * them. Whoever holds one disposes of it, which closes the connection if bytes are still to come.
 */
import { essence } from '../oci/media-type.ts'
import {
  contentError,
  contentLength,
  headerOf,
  readBody,
  type UpstreamResponse,
} from './exchange.ts'
import { networkError } from './network-error.ts'

export interface BlobAnswer extends AsyncDisposable {
  /** Where the bytes come from, redirects followed. */
  readonly url: URL
  /** Bytes of the whole blob, where the registry says. */
  readonly size: number | undefined
  /** Where `chunks` begins: what was asked for, or 0 at a registry that knows no ranges. */
  readonly offset: number
  /** May be read once. @throws UpstreamError when the connection breaks. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** All of it, in place of `chunks`. @throws UpstreamError when there is more than `bytesMax`. */
  readAll(bytesMax: number): Promise<Uint8Array>
}

/**
 * @param offset what was asked for; an answer of 206 has to begin there.
 * @throws UpstreamError when these cannot be the blob's own bytes.
 */
export function readBlobAnswer(
  response: UpstreamResponse,
  signal: AbortSignal,
  offset = 0,
): BlobAnswer {
  const { url, body } = response
  try {
    const size = readBlobSize(response, offset)
    return {
      url,
      size,
      offset: response.status === 206 ? offset : 0,
      chunks: readChunks(response, signal),
      readAll: async (bytesMax) => await readBody(response, bytesMax, signal),
      async [Symbol.asyncDispose]() {
        body.destroy()
      },
    }
  } catch (error) {
    body.destroy()
    throw error
  }
}

/** @returns undefined when it does not say. @throws UpstreamError for what is no answer of a blob. */
export function readBlobSize(response: UpstreamResponse, offset = 0): number | undefined {
  const { url, headers, status } = response
  const encoding = headerOf(headers, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    throw contentError(url, `its answer is encoded (${encoding}), which nobody asked for`)
  }
  // Portals and proxies answer so to anything.
  if (essence(headerOf(headers, 'content-type') ?? '') === 'text/html') {
    throw contentError(url, 'its answer is a web page')
  }
  return status === 206 ? sizeOfPart(response, offset) : contentLength(headers)
}

/** `Content-Range` (RFC 9110, 14.4): a part may end early, it cannot begin anywhere else. */
function sizeOfPart({ url, headers }: UpstreamResponse, offset: number): number | undefined {
  const range = headerOf(headers, 'content-range') ?? ''
  const match = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15}|\*)$/.exec(range)
  const [start, end] = [Number(match?.[1]), Number(match?.[2])]
  const size = match?.[3] === '*' ? undefined : Number(match?.[3])
  const length = contentLength(headers) ?? end - start + 1
  const isWhole = end >= start && length === end - start + 1 && (size === undefined || end < size)
  if (match === null || start !== offset || !isWhole) {
    throw contentError(url, `its answer is not the part that begins at byte ${offset}`)
  }
  return size
}

async function* readChunks(
  { url, body }: UpstreamResponse,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* body as AsyncIterable<Uint8Array>
  } catch (error) {
    signal.throwIfAborted()
    throw networkError(url, error)
  }
}
