/**
 * An answer whose status means failure, as an UpstreamError: the codes of its JSON body
 * (specification, "Error Codes") and the first message, cut short. Other bodies are not shown.
 */
import { limits } from '../config/limits.ts'
import { STATUS_CODES } from '../lib/node-http.ts'
import { isRecord } from '../oci/descriptor.ts'
import { printable, redactUrl, UpstreamError } from '../oci/upstream-error.ts'
import { parseJson, readUpTo, type UpstreamRequest, type UpstreamResponse } from './exchange.ts'
import { retryAfterMs } from './retry-after.ts'

/** Statuses after which the same request may succeed. */
export const passingStatuses: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])

const messageLengthMax = 200
const codesMax = 16

/** Reads the body, so the response is used up. */
export async function statusError(
  request: Pick<UpstreamRequest, 'method' | 'signal'>,
  response: UpstreamResponse,
  now: number,
): Promise<UpstreamError> {
  const errors = await readErrors(response)
  request.signal.throwIfAborted()
  const { status, url } = response
  const text = STATUS_CODES[status] ?? ''
  const reason = errors.length === 0 ? '' : `: ${formatError(errors[0])}`
  return new UpstreamError(
    `${url.host} answered ${status} ${text} to ${request.method} ${redactUrl(url)}${reason}`,
    {
      host: url.host,
      problem: 'status',
      status,
      codes: errors.map(({ code }) => code),
      retryable: passingStatuses.has(status),
      retryAfterMs: retryAfterMs(response.headers, now),
    },
  )
}

interface ErrorEntry {
  readonly code: string
  readonly message: string
}

async function readErrors(response: UpstreamResponse): Promise<ErrorEntry[]> {
  const bytes = await readUpTo(response.body, limits.upstreamErrorBytesMax).catch(() => undefined)
  const document = bytes && parseJson(bytes)
  if (!isRecord(document) || !Array.isArray(document['errors'])) return []
  return document['errors'].slice(0, codesMax).flatMap((entry: unknown) => {
    if (!isRecord(entry) || typeof entry['code'] !== 'string') return []
    const message = typeof entry['message'] === 'string' ? entry['message'] : ''
    return [{ code: printable(entry['code']).slice(0, 64), message }]
  })
}

function formatError(error: ErrorEntry | undefined): string {
  if (error === undefined) return ''
  return `${error.code} ${error.message.slice(0, messageLengthMax)}`.trim()
}
