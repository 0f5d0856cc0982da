/**
 * The layer that logs in. Credentials belong to the registry's own origin: a request to any other
 * one (a redirect's target) is at most given an anonymous token. A challenge is answered once, a
 * token or a password that does not last is replaced once when it was refused, and a second refusal
 * is the answer.
 */
import { type Challenge, findChallenge } from './challenge.ts'
import { type Credentials, type CredentialSource, PasswordCredentials } from './credentials.ts'
import { challengesOf, type Endpoint } from './endpoint.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { discard, type Send, type UpstreamRequest, type UpstreamResponse } from './exchange.ts'
import { parseRealm, type RealmPolicy } from './realm.ts'
import type { TokenRequest, TokenSource } from './token-source.ts'

export interface AuthorizerOptions {
  readonly send: Send
  readonly endpoint: Endpoint
  readonly tokens: TokenSource
  readonly credentials: Credentials | CredentialSource | undefined
  readonly realmPolicy: RealmPolicy
}

/** What a request is given, and how it was come by. */
interface Grant {
  readonly header?: string
  readonly token?: { readonly request: TokenRequest; readonly text: string }
  /** A password that may have become invalid, of which there is a newer one then. */
  readonly password?: Credentials
  /** The token service that the credentials were kept from. */
  readonly distrusted?: URL
}

export class Authorizer {
  readonly #options: AuthorizerOptions
  /** What the registry last asked for, so that further requests bring it along. */
  #challenges: readonly Challenge[] = []

  constructor(options: AuthorizerOptions) {
    this.#options = options
  }

  readonly send: Send = async (request) => {
    const isOwn = await this.#isOwnOrigin(request)
    let grant = await this.#grant(isOwn ? this.#challenges : [], request, isOwn)
    let response = await this.#options.send(withGrant(request, grant))
    // The second time, what a challenge brought was a password that does not hold any more.
    for (let answers = 0; answers < 2 && mayBeAnswered(response, grant, answers); answers++) {
      const next = await this.#nextGrant(grant, response, { request, isOwn })
      if (next.header === undefined || next.header === grant.header) return response
      await discard(response)
      grant = next
      response = await this.#options.send(withGrant(request, grant))
    }
    if (response.status !== 401 || grant.distrusted === undefined) return response
    await discard(response)
    throw distrustError(response.url, grant.distrusted)
  }

  async #nextGrant(
    refused: Grant,
    response: UpstreamResponse,
    { request, isOwn }: { request: UpstreamRequest; isOwn: boolean },
  ): Promise<Grant> {
    if (refused.token) this.#options.tokens.forgetToken(refused.token.request, refused.token.text)
    if (response.status !== 401) {
      return await this.#grant(this.#challenges, request, isOwn, refused.password)
    }
    const challenges = await this.#challengesAfter(response, request, isOwn)
    if (isOwn && challenges.length > 0) this.#challenges = challenges
    return await this.#grant(challenges, request, isOwn, refused.password)
  }

  async #isOwnOrigin({ url, signal }: UpstreamRequest): Promise<boolean> {
    return url.origin === (await this.#options.endpoint.getOrigin(signal)).origin
  }

  /** Some registries challenge at `/v2/` only. */
  async #challengesAfter(
    response: UpstreamResponse,
    request: UpstreamRequest,
    isOwn: boolean,
  ): Promise<readonly Challenge[]> {
    const challenges = challengesOf(response)
    if (challenges.length > 0 || !isOwn) return challenges
    const ping = await this.#options.endpoint.ping(new URL(request.url.origin), request.signal)
    return ping.challenges
  }

  async #grant(
    challenges: readonly Challenge[],
    request: UpstreamRequest,
    isOwn: boolean,
    refused?: Credentials,
  ): Promise<Grant> {
    const bearer = findChallenge(challenges, 'bearer')
    const basic = findChallenge(challenges, 'basic')
    if (bearer === undefined && basic === undefined) return {}
    const credentials = isOwn ? await this.#getCredentials(request.signal, refused) : undefined
    if (bearer !== undefined) return await this.#bearerGrant(bearer, request, credentials)
    if (!(credentials instanceof PasswordCredentials)) return {}
    const isFixed = credentials === this.#options.credentials
    return { header: credentials.toBasic(), ...(!isFixed && { password: credentials }) }
  }

  async #getCredentials(
    signal: AbortSignal,
    refused: Credentials | undefined,
  ): Promise<Credentials | undefined> {
    const { credentials } = this.#options
    if (credentials === undefined || !('getCredentials' in credentials)) return credentials
    return await credentials.getCredentials(signal, refused)
  }

  async #bearerGrant(
    { parameters }: Challenge,
    request: UpstreamRequest,
    credentials: Credentials | undefined,
  ): Promise<Grant> {
    const realm = parseRealm(parameters.get('realm'))
    if (realm === undefined) return {}
    const isTrusted = this.#options.realmPolicy(realm, request.url)
    const tokenRequest = {
      realm,
      service: parameters.get('service'),
      // The challenge's scope may be a placeholder; what is needed is known here.
      scope: request.scope ?? parameters.get('scope'),
      credentials: isTrusted ? credentials : undefined,
    }
    const distrusted = credentials !== undefined && !isTrusted ? realm : undefined
    const text = await this.#getToken(tokenRequest, request, distrusted)
    const token = { request: tokenRequest, text }
    return { header: `Bearer ${text}`, token, ...(distrusted && { distrusted }) }
  }

  /** A service that gives nothing to strangers may give it to who may log in there. */
  async #getToken(
    wanted: TokenRequest,
    { url, signal }: UpstreamRequest,
    distrusted: URL | undefined,
  ): Promise<string> {
    try {
      return await this.#options.tokens.getToken(wanted, signal)
    } catch (error) {
      const isRefusal = error instanceof UpstreamError && [401, 403].includes(error.status ?? 0)
      throw distrusted && isRefusal ? distrustError(url, distrusted, error) : error
    }
  }
}

/** ECR answers 403 to a password that has expired, like to one that may not see this. */
function mayBeAnswered({ status }: UpstreamResponse, grant: Grant, answers: number): boolean {
  if (grant.password !== undefined) return status === 401 || status === 403
  return status === 401 && answers === 0
}

function withGrant(request: UpstreamRequest, { header }: Grant): UpstreamRequest {
  if (header === undefined) return request
  return { ...request, headers: { ...request.headers, authorization: header } }
}

function distrustError({ host }: URL, realm: URL, cause?: unknown): UpstreamError {
  return new UpstreamError(
    `${host} sends to the token service ${realm.origin} to log in, ` +
      'which was not given the credentials because it is not to be trusted with them',
    {
      host,
      problem: 'status',
      status: 401,
      cause,
      codes: ['UNAUTHORIZED'],
      advice:
        `its token service ${realm.origin} was not given the login; if it may have it, name ` +
        `${realm.host} in auth_hosts of the entry in registry_proxies.registries`,
    },
  )
}
