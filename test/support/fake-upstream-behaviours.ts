// Behaviours of other registries, good and bad, for `FakeUpstream.use`: faults on the way, headers
// that are missing, redirects, rate limits and the two ways of logging in.

import { createHash } from 'node:crypto'
import { type Answer, type Behaviour, type FakeRequest } from './fake-upstream.ts'
import { errorAnswer, jsonAnswer } from './fake-upstream-content.ts'

/** Answers with this status and the specification's error body. */
export function failing(
  status: number,
  code = 'UNKNOWN',
  headers: Answer['headers'] = {},
): Behaviour {
  return () => errorAnswer(status, code, headers)
}

export function rateLimiting(retryAfter: string): Behaviour {
  return failing(429, 'TOOMANYREQUESTS', { 'retry-after': retryAfter })
}

/** Answers with any text: a captive portal's page, for example. */
export function answering(status: number, contentType: string, body: string): Behaviour {
  return () => ({ status, headers: { 'content-type': contentType }, body: Buffer.from(body) })
}

/** Cuts the connection after so many bytes of the body; before any answer by default. */
export function cutting(afterBytes = -1): Behaviour {
  return async (_, next) => ({ ...(await next()), cutAfterBytes: afterBytes })
}

/** Something to wait for that a test opens when it has seen enough. */
export class Gate {
  readonly opened: Promise<void>
  readonly open: () => void

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.opened = promise
    this.open = resolve
  }
}

/** Sends nothing, not even headers by default, until the gate is open. */
export function holding(gate: Gate, afterBytes = -1): Behaviour {
  return async (_, next) => ({ ...(await next()), hold: { afterBytes, until: gate.opened } })
}

/** As many bytes as there should be, and one of them wrong. */
export function corrupting(): Behaviour {
  return async (_, next) => {
    const answer = await next()
    const body = Buffer.from(answer.body)
    const middle = Math.floor(body.length / 2)
    if (body.length > 0) body.writeUInt8(body.readUInt8(middle) ^ 1, middle)
    return { ...answer, body }
  }
}

export function withHeaders(headers: Answer['headers']): Behaviour {
  return async (_, next) => {
    const answer = await next()
    return { ...answer, headers: { ...answer.headers, ...headers } }
  }
}

export function withoutHeader(name: string): Behaviour {
  return async (_, next) => {
    const answer = await next()
    const { [name]: _removed, ...headers } = answer.headers
    return { ...answer, headers }
  }
}

/** Sends to the same path and query elsewhere; `origin` may be empty for a relative one. */
export function redirecting(origin: string, status = 307): Behaviour {
  return ({ path, query }) => {
    const search = query.toString()
    const location = `${origin}${path}${search === '' ? '' : `?${search}`}`
    return { status, headers: { location }, body: Buffer.alloc(0) }
  }
}

export interface Login {
  readonly username: string
  readonly password: string
}

export function requiringBasic(login: Login): Behaviour {
  return async (request, next) => {
    if (isBasic(request, login)) return await next()
    return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="fake"' })
  }
}

function isBasic({ headers }: FakeRequest, { username, password }: Login): boolean {
  const text = Buffer.from(`${username}:${password}`).toString('base64')
  return headers.authorization === `Basic ${text}`
}

export interface TokenServiceOptions {
  /** Without it everybody gets a token. */
  readonly login?: Login
  /** Takes the place of the login, in OAuth 2 requests. */
  readonly refreshToken?: string
  readonly field?: 'token' | 'access_token'
  readonly expiresIn?: number
  readonly service?: string
}

/**
 * A token service and the registries that rely on it: `issue` is laid around the fake upstream that
 * holds `/token`, `require` around each one that wants its tokens.
 */
export class FakeTokenService {
  readonly #options: TokenServiceOptions
  /** Scopes by valid token. */
  readonly #tokens = new Map<string, string>()
  #issued = 0

  constructor(options: TokenServiceOptions = {}) {
    this.#options = options
  }

  readonly issue: Behaviour = async (request, next) => {
    if (request.path !== '/token') return await next()
    if (!this.#mayHaveToken(request)) return errorAnswer(401, 'UNAUTHORIZED')
    const form = new URLSearchParams(request.body.toString())
    const scope = request.query.get('scope') ?? form.get('scope') ?? ''
    this.#issued += 1
    const text = createHash('sha256').update(`${this.#issued} ${scope}`).digest('hex')
    this.#tokens.set(text, scope)
    const { field = 'token', expiresIn } = this.#options
    return jsonAnswer({ [field]: text, ...(expiresIn !== undefined && { expires_in: expiresIn }) })
  }

  /** @param scope what the challenge asks for, in place of what is really needed. */
  require(realm: string, scope?: string): Behaviour {
    return async (request, next) => {
      if (request.path === '/token') return await next()
      const needed = scopeOf(request)
      const [scheme, text = ''] = (request.headers.authorization ?? '').split(' ')
      const granted = scheme === 'Bearer' ? this.#tokens.get(text) : undefined
      if (granted !== undefined && (needed === undefined || granted === needed)) return await next()
      const { service = 'fake' } = this.#options
      const shown = scope ?? needed
      const challenge =
        `Bearer realm="${realm}",service="${service}"` +
        (shown === undefined ? '' : `,scope="${shown}"`)
      return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': challenge })
    }
  }

  /** Makes all tokens invalid before their time. */
  revokeAll(): void {
    this.#tokens.clear()
  }

  #mayHaveToken(request: FakeRequest): boolean {
    const { login, refreshToken } = this.#options
    const form = new URLSearchParams(request.body.toString())
    if (refreshToken !== undefined) return form.get('refresh_token') === refreshToken
    return login === undefined || isBasic(request, login)
  }
}

function scopeOf({ path }: FakeRequest): string | undefined {
  if (path === '/v2/_catalog') return 'registry:catalog:*'
  const [, name] = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path) ?? []
  return name === undefined ? undefined : `repository:${name}:pull`
}
