/**
 * Access tokens from the token service that a registry names (distribution, "Token Authentication
 * Specification"): GET with Basic credentials or none, POST (OAuth 2) with an identity token. Each
 * is fetched once for all who need it and used until 90 % of its life are over.
 */
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import { type Credentials, IdentityToken } from './credentials.ts'
import { contentError, readJson, type Send, type UpstreamRequest } from './exchange.ts'
import { SharedFlight } from './shared-flight.ts'
import { statusError } from './status-error.ts'
import type { Timer } from './timer.ts'

export interface TokenRequest {
  readonly realm: URL
  readonly service: string | undefined
  readonly scope: string | undefined
  /** Only where the realm may have them. */
  readonly credentials: Credentials | undefined
}

interface CachedToken {
  readonly token: string
  /** Milliseconds since 1970. */
  readonly refreshAt: number
}

const usedShareOfLife = 0.9

export class TokenSource {
  readonly #send: Send
  readonly #timer: Timer
  readonly #tokens = new LruCache<string, CachedToken>({ entriesMax: limits.upstreamTokensMax })
  readonly #flights = new SharedFlight<CachedToken>()

  constructor(send: Send, timer: Timer) {
    this.#send = send
    this.#timer = timer
  }

  /** @throws UpstreamError when the service gives none. */
  async getToken(request: TokenRequest, signal: AbortSignal): Promise<string> {
    const key = keyOf(request)
    const cached = this.#tokens.get(key)
    if (cached !== undefined && this.#timer.now() < cached.refreshAt) return cached.token
    const { token } = await this.#flights.join(key, signal, async (flightSignal) => {
      const fetched = await this.#fetchToken(request, flightSignal)
      this.#tokens.set(key, fetched)
      return fetched
    })
    return token
  }

  /** The registry refused this token; others may have fetched a newer one already. */
  forgetToken(request: TokenRequest, token: string): void {
    const key = keyOf(request)
    if (this.#tokens.get(key)?.token === token) this.#tokens.delete(key)
  }

  async #fetchToken(request: TokenRequest, signal: AbortSignal): Promise<CachedToken> {
    const exchange = tokenExchange(request, signal)
    const response = await this.#send(exchange)
    if (response.status !== 200) throw await statusError(exchange, response, this.#timer.now())
    const answer = await readJson(response, limits.upstreamTokenBytesMax, signal)
    const token = answer['token'] || answer['access_token']
    // Anything else could not be sent in a header.
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
      throw contentError(response.url, 'the token service answered without a usable token')
    }
    return { token, refreshAt: this.#timer.now() + usedShareOfLife * lifeMs(answer['expires_in']) }
  }
}

/** A short life counts as 60 seconds, as other clients have it: clocks and hurry are no reason. */
function lifeMs(expiresIn: unknown): number {
  const { upstreamTokenSecondsMin: min, upstreamTokenSecondsMax: max } = limits
  const seconds = typeof expiresIn === 'number' && expiresIn > 0 ? expiresIn : min
  return 1000 * Math.min(max, Math.max(min, seconds))
}

function keyOf({ realm, service, scope, credentials }: TokenRequest): string {
  return JSON.stringify([realm.href, service, scope, credentials !== undefined])
}

function tokenExchange(request: TokenRequest, signal: AbortSignal): UpstreamRequest {
  const { realm, service, scope, credentials } = request
  const parameters = new URLSearchParams()
  if (service !== undefined) parameters.set('service', service)
  if (scope !== undefined) parameters.set('scope', scope)
  if (credentials instanceof IdentityToken) {
    parameters.set('grant_type', 'refresh_token')
    parameters.set('client_id', 'trow')
    parameters.set('refresh_token', credentials.reveal())
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return { method: 'POST', url: realm, headers, body: parameters.toString(), signal }
  }
  const url = new URL(realm)
  for (const [name, value] of parameters) url.searchParams.set(name, value)
  const headers = credentials === undefined ? {} : { authorization: credentials.toBasic() }
  return { method: 'GET', url, headers, signal }
}
