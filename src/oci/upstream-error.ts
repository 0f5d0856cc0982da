/**
 * What goes wrong with another registry, as one error that says who failed, how, and whether trying
 * again can help. Its message is for people and may be logged: it never holds a credential, a token
 * or the signature of a signed URL, nor control characters that an upstream made up.
 */

export type UpstreamProblem =
  /** It answered with a status that means failure. */
  | 'status'
  /** Its name has no address. */
  | 'unresolved'
  /** Nobody listens there. */
  | 'refused'
  | 'timeout'
  /** The connection broke, or could not be made. */
  | 'connection'
  /** Its certificate is not to be trusted. */
  | 'certificate'
  /** It speaks no TLS, or no HTTP. */
  | 'protocol'
  /** It redirects in a circle or to where no client should follow. */
  | 'redirect'
  /** What it sent is not what was asked for: a wrong digest, no JSON, too large. */
  | 'content'
  /** It was not asked: its address is one that this registry must not reach. */
  | 'address'
  /** It was not asked: it failed or refused too often just now, or said when to come back. */
  | 'suspended'
  /** It was not asked: the registry is set to be offline. */
  | 'offline'
  /** It was not asked: the credentials for it could not be had. */
  | 'login'
  /** It was not asked: the request came from there, by way of others. */
  | 'loop'

export interface UpstreamErrorOptions {
  readonly host: string
  readonly problem: UpstreamProblem
  readonly status?: number
  readonly codes?: readonly string[]
  readonly retryable?: boolean
  readonly retryAfterMs?: number | undefined
  readonly advice?: string
  readonly cause?: unknown
}

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  /** Host and port that failed: the registry, its token service or where it redirected to. */
  readonly host: string
  readonly problem: UpstreamProblem
  /** HTTP status, where `problem` is `status`. */
  readonly status: number | undefined
  /** Error codes of the answer's body (specification, "Error Codes"). */
  readonly codes: readonly string[]
  /** Whether the same request may succeed later. */
  readonly retryable: boolean
  /** The upstream's `Retry-After`. */
  readonly retryAfterMs: number | undefined
  /** What to do about it, in words that anybody may see. */
  readonly advice: string | undefined

  constructor(message: string, options: UpstreamErrorOptions) {
    super(printable(message), { cause: options.cause })
    this.host = options.host
    this.problem = options.problem
    this.status = options.status
    this.codes = options.codes ?? []
    this.retryable = options.retryable ?? false
    this.retryAfterMs = options.retryAfterMs
    this.advice = options.advice
  }
}

/** Parameters that name things; the value of any other may be a token or a signature. */
const plainParameters = new Set(['n', 'last', 'ns', 'scope', 'service', 'artifactType'])

/** A URL as it may be shown: no user and password, no values of unknown parameters. */
export function redactUrl(url: URL): string {
  const shown = new URL(url)
  shown.username = ''
  shown.password = ''
  shown.hash = ''
  for (const name of new Set(url.searchParams.keys())) {
    if (!plainParameters.has(name)) shown.searchParams.set(name, 'REDACTED')
  }
  return shown.href
}

/** Text of others made fit for a terminal and for one line of a log. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g, ' ')
}
