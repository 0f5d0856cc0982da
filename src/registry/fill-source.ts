/** Where the bytes of one blob come from, and what is common to all who take them from there. */
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { UpstreamBlob } from './ports/upstream.ts'

export interface FillSource {
  /** Of the cached repository that gets the blob. */
  readonly repository: RepositoryName
  readonly host: string
  readonly digest: Digest
  /** `Upstream.flightOf` */
  readonly flight: string
  /** Bytes of the blob as a manifest has it, for an upstream that does not say. */
  findSize(): Promise<number | undefined>
  /** Begins a transfer at a byte. */
  open(offset: number, signal: AbortSignal): Promise<UpstreamBlob>
}

/** What the first so many bytes of a blob were, when they were last seen. */
export interface Beginning {
  readonly size: number
  readonly digest: Digest
}

/** @throws UpstreamError before the last byte that should be as it was, when one of them is not. */
export async function* continuing(
  chunks: AsyncIterable<Uint8Array>,
  source: FillSource,
  beginning: Beginning,
): AsyncGenerator<Uint8Array> {
  const digester = new Digester(digestAlgorithm(source.digest))
  for await (const chunk of chunks) {
    const left = beginning.size - digester.size
    if (left > 0) digester.update(chunk.subarray(0, left))
    const isComplete = left > 0 && digester.size === beginning.size
    if (isComplete && digester.digest() !== beginning.digest) {
      throw contentError(source, 'it answers with other bytes than before')
    }
    yield chunk
  }
}

/** For an upstream that ignores ranges and begins again. */
export async function* skip(
  chunks: AsyncIterable<Uint8Array>,
  count: number,
): AsyncGenerator<Uint8Array> {
  let left = count
  for await (const chunk of chunks) {
    if (left < chunk.length) yield left === 0 ? chunk : chunk.subarray(left)
    left = Math.max(0, left - chunk.length)
  }
}

/** Bytes beyond what was announced are not taken: the digest of the rest decides. */
export async function* upTo(
  chunks: AsyncIterable<Uint8Array>,
  count: number,
): AsyncGenerator<Uint8Array> {
  let left = count
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left)
    left -= chunk.length
    if (left <= 0) return
  }
}

export function contentError(source: FillSource, problem: string): UpstreamError {
  return new UpstreamError(`${source.host} cannot be used for blob ${source.digest}: ${problem}`, {
    host: source.host,
    problem: 'content',
  })
}

/** It is not the upstream's fault, nor that of the request: another replica, or the next process, answers. */
export function stopped({ host, digest }: FillSource): UpstreamError {
  const message = `${host} was being asked for blob ${digest} when this registry was told to stop`
  return new UpstreamError(message, { host, problem: 'connection', retryable: true })
}

/** A client is told the length of a blob before its first byte. */
export function sizeUnknown(source: FillSource): UpstreamError {
  return contentError(
    source,
    'it does not say how large the blob is, nor does a manifest that is here',
  )
}
