/**
 * A blob on its way from another registry: its bytes as they arrive, exactly as the registry stores
 * them. Whoever holds one disposes of it, which closes the connection if bytes are still to come.
 */
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
  /** Bytes, where the registry says. */
  readonly size: number | undefined
  /** May be read once. @throws UpstreamError when the connection breaks. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** All of it, in place of `chunks`. @throws UpstreamError when there is more than `bytesMax`. */
  readAll(bytesMax: number): Promise<Uint8Array>
}

/** @throws UpstreamError when the bytes are encoded, as the blob's own never are. */
export function readBlobAnswer(response: UpstreamResponse, signal: AbortSignal): BlobAnswer {
  const { url, headers, body } = response
  const encoding = headerOf(headers, 'content-encoding') ?? 'identity'
  if (encoding !== 'identity') {
    body.destroy()
    throw contentError(url, `its answer is encoded (${encoding}), which nobody asked for`)
  }
  return {
    url,
    size: contentLength(headers),
    chunks: readChunks(response, signal),
    readAll: async (bytesMax) => await readBody(response, bytesMax, signal),
    async [Symbol.asyncDispose]() {
      body.destroy()
    },
  }
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
