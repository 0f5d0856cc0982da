/**
 * The catalogue of errors that a client can be told: one table, one class. The first fourteen codes
 * are the OCI distribution specification's (section "Error Codes"); the rest are marked as ours.
 * The key is the code, so a code can never carry another code's message or status.
 */

interface ErrorEntry {
  /** HTTP status of an answer that carries this code first. */
  status: number
  /** Default message; a thrower may put a more helpful one in its place. */
  message: string
}

export const ociErrors = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  BLOB_UPLOAD_INVALID: { status: 400, message: 'blob upload invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'blob upload unknown to registry' },
  DIGEST_INVALID: { status: 400, message: 'provided digest did not match uploaded content' },
  MANIFEST_BLOB_UNKNOWN: {
    status: 404,
    message: 'manifest references a manifest or blob unknown to registry',
  },
  MANIFEST_INVALID: { status: 400, message: 'manifest invalid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown to registry' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to registry' },
  SIZE_INVALID: { status: 400, message: 'provided length did not match content length' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  TOOMANYREQUESTS: { status: 429, message: 'too many requests' },
  // Ours, where the specification has no code. The first three are also distribution's.
  TAG_INVALID: { status: 400, message: 'manifest tag did not match URI' },
  PAGINATION_NUMBER_INVALID: { status: 400, message: 'invalid number of results requested' },
  RANGE_INVALID: { status: 416, message: 'invalid content range' },
  NOT_FOUND: { status: 404, message: 'there is nothing at this address' },
  STORAGE_FULL: { status: 507, message: 'the registry has no space left to store this' },
  UNAVAILABLE: { status: 503, message: 'the registry cannot serve this request now' },
  UNKNOWN: { status: 500, message: 'unknown error' },
} as const satisfies Record<string, ErrorEntry>

export type OciErrorCode = keyof typeof ociErrors

export interface OciErrorOptions {
  /** Says what is wrong here and what to do about it; the table's message when absent. */
  message?: string
  /** Any JSON; sent to the client as it is, so it must hold no secret. */
  detail?: unknown
  /** HTTP status in place of the table's, for a code that serves several situations. */
  status?: number
  /** Response headers that go with the error (`Retry-After`, `Location`, `Range` ...). */
  headers?: Record<string, string>
  cause?: unknown
}

/** An error that the client may be told about, word for word. */
export class OciError extends Error {
  override readonly name = 'OciError'
  readonly code: OciErrorCode
  readonly status: number
  readonly detail: unknown
  readonly headers: Record<string, string>

  constructor(code: OciErrorCode, options: OciErrorOptions = {}) {
    super(options.message ?? ociErrors[code].message, { cause: options.cause })
    this.code = code
    this.status = options.status ?? ociErrors[code].status
    this.detail = options.detail
    this.headers = options.headers ?? {}
  }
}
