/**
 * The layer that follows redirects, by hand: what was meant for one origin (Authorization, the
 * token scope) never reaches another, https never becomes http, and there is an end to it.
 * RFC 9110, 15.4; distribution specification, "Redirects".
 */
import { limits } from '../config/limits.ts'
import { redactUrl, UpstreamError } from '../oci/upstream-error.ts'
import {
  discard,
  headerOf,
  type Send,
  type UpstreamRequest,
  type UpstreamResponse,
} from './exchange.ts'

const redirectStatuses = new Set([301, 302, 303, 307, 308])

export function followingRedirects(send: Send): Send {
  return async (request) => {
    let current = request
    for (let redirects = 0; ; redirects++) {
      const response = await send(current)
      const location = headerOf(response.headers, 'location')
      // A POST carries a secret in its body, which stays where it was sent; and what changes something
      // is meant for one place.
      const mayFollow = request.method === 'GET' || request.method === 'HEAD'
      const isRedirect = redirectStatuses.has(response.status) && mayFollow
      if (!isRedirect || location === undefined) return response
      await discard(response)
      if (redirects >= limits.upstreamRedirectsMax) {
        throw redirectError(response, `it redirects more than ${limits.upstreamRedirectsMax} times`)
      }
      current = redirected(current, redirectTarget(response, location))
    }
  }
}

function redirectTarget(response: UpstreamResponse, location: string): URL {
  const target = URL.parse(location, response.url.href)
  if (target === null) throw redirectError(response, 'it redirects to no valid URL')
  const isPlain = target.protocol === 'http:' && response.url.protocol === 'http:'
  if (target.protocol !== 'https:' && !isPlain) {
    throw redirectError(response, `it redirects to ${redactUrl(target)}, which is not https`)
  }
  target.username = ''
  target.password = ''
  target.hash = ''
  return target
}

function redirected(request: UpstreamRequest, url: URL): UpstreamRequest {
  if (url.origin === request.url.origin) return { ...request, url }
  const { scope: _scope, ...rest } = request
  const { authorization: _authorization, ...headers } = request.headers
  return { ...rest, url, headers }
}

function redirectError({ url }: UpstreamResponse, problem: string): UpstreamError {
  return new UpstreamError(`${redactUrl(url)}: ${problem}`, { host: url.host, problem: 'redirect' })
}
