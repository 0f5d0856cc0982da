/**
 * One request to another registry and its answer, and what every layer of the client does with
 * them. A layer is a function from `Send` to `Send`; who holds a response must read its body to the
 * end, or discard it, so that the connection can be used again.
 */
import type { Readable } from 'node:stream'
import { limits } from '../config/limits.ts'
import { isRecord } from '../oci/descriptor.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { networkError } from './network-error.ts'

export interface UpstreamRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  readonly url: URL
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** Bytes that are not at hand are opened anew each time they are sent. */
  readonly body?: string | Uint8Array | (() => AsyncIterable<Uint8Array>)
  /** The token scope this request needs (`repository:library/nginx:pull`), where tokens are used. */
  readonly scope?: string
  readonly signal: AbortSignal
}

export interface UpstreamResponse {
  readonly status: number
  readonly headers: UpstreamHeaders
  readonly body: Readable
  /** Where the answer came from, redirects followed. */
  readonly url: URL
}

export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>

/** @throws UpstreamError when there is no answer; any status is an answer. */
export type Send = (request: UpstreamRequest) => Promise<UpstreamResponse>

/** A header's value; several of one name are joined as RFC 9110, 5.3 has it. */
export function headerOf(headers: UpstreamHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

/** `Content-Length`, where it is a number. */
export function contentLength(headers: UpstreamHeaders): number | undefined {
  const value = headerOf(headers, 'content-length')
  return value !== undefined && /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined
}

/** Lets go of a response that nobody wants: a short rest is read, a long one cut off. */
export async function discard(response: UpstreamResponse): Promise<void> {
  const bytesMax = limits.upstreamErrorBytesMax
  if ((contentLength(response.headers) ?? 0) > bytesMax) response.body.destroy()
  else await readUpTo(response.body, bytesMax).catch(() => undefined)
}

/** At most `bytesMax` bytes of a body; the rest is cut off. */
export async function readUpTo(body: Readable, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > bytesMax) break
  }
  return Buffer.concat(chunks).subarray(0, bytesMax)
}

/** A whole body. @throws UpstreamError when it has more than `bytesMax` bytes or breaks off. */
export async function readBody(
  response: UpstreamResponse,
  bytesMax: number,
  signal: AbortSignal,
): Promise<Buffer> {
  let bytes: Buffer
  try {
    bytes = await readUpTo(response.body, bytesMax + 1)
  } catch (error) {
    signal.throwIfAborted()
    throw networkError(response.url, error)
  }
  if (bytes.length > bytesMax) {
    throw contentError(response.url, `its answer has more than ${bytesMax} bytes`)
  }
  return bytes
}

/** A body that must be a JSON object. */
export async function readJson(
  response: UpstreamResponse,
  bytesMax: number,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const bytes = await readBody(response, bytesMax, signal)
  const document = parseJson(bytes)
  if (!isRecord(document)) throw contentError(response.url, 'its answer is not a JSON object')
  return document
}

/** @returns undefined for what is no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

/** An answer that came and is of no use. */
export function contentError(url: URL, problem: string, cause?: unknown): UpstreamError {
  return new UpstreamError(`${url.host}${url.pathname}: ${problem}`, {
    host: url.host,
    problem: 'content',
    cause,
  })
}
