/**
 * Cross-Origin Resource Sharing (WHATWG Fetch, "HTTP extensions") for pages of the configured
 * origins. An origin that is named may send credentials; `*` lets any page read, but never with the
 * credentials of whoever looks at it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { limits } from '../config/limits.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

const requestHeaders = [
  'Authorization',
  'Content-Type',
  'Accept',
  'Content-Range',
  'Range',
  'If-Match',
  'If-None-Match',
  'If-Range',
  'Cache-Control',
  'X-Requested-With',
]

const responseHeaders = [
  'Accept-Ranges',
  'Content-Range',
  'Docker-Content-Digest',
  'Docker-Distribution-API-Version',
  'Docker-Upload-UUID',
  'ETag',
  'Link',
  'Location',
  'OCI-Chunk-Max-Length',
  'OCI-Chunk-Min-Length',
  'OCI-Filters-Applied',
  'OCI-Namespace',
  'OCI-Subject',
  'OCI-Tag',
  'Range',
  'Retry-After',
  'Warning',
  'WWW-Authenticate',
  'X-Request-Id',
]

export class Cors {
  readonly #origins: ReadonlySet<string>

  /** @param origins as the `Origin` header has them, or `*`; none of them turns it off. */
  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins)
  }

  /** No page of another origin may read anything; no answer has headers of this. */
  get isOff(): boolean {
    return this.#origins.size === 0
  }

  /** Headers for any answer but that to a preflight. */
  headers(request: IncomingHttpHeaders): Record<string, string> {
    if (this.isOff) return {}
    // Caches must know that pages of another origin get another answer, even without an Origin.
    const vary = { Vary: 'Origin' }
    const allowed = this.#allow(request.origin)
    if (allowed === undefined) return vary
    return { ...vary, ...allowed, 'Access-Control-Expose-Headers': responseHeaders.join(', ') }
  }

  /** @returns headers for a 204, or undefined when this is no preflight or nobody's to answer. */
  preflight(method: string, request: IncomingHttpHeaders): Record<string, string> | undefined {
    const isPreflight =
      method === 'OPTIONS' && request['access-control-request-method'] !== undefined
    if (this.isOff || !isPreflight || request.origin === undefined) return undefined
    const vary = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
    const allowed = this.#allow(request.origin)
    if (allowed === undefined) return { Vary: vary }
    return {
      Vary: vary,
      ...allowed,
      'Access-Control-Allow-Methods': methods.join(', '),
      'Access-Control-Allow-Headers': requestHeaders.join(', '),
      'Access-Control-Max-Age': String(limits.corsMaxAgeSeconds),
    }
  }

  #allow(origin: string | undefined): Record<string, string> | undefined {
    if (origin !== undefined && origin !== '*' && this.#origins.has(origin)) {
      return {
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Allow-Credentials': 'true',
      }
    }
    return this.#origins.has('*') ? { 'Access-Control-Allow-Origin': '*' } : undefined
  }
}
