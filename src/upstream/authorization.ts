/**
 * The layer that logs in. Credentials belong to the registry's own origin: a request to any other
 * one (a redirect's target) is at most given an anonymous token. A challenge is answered once, a
 * token that was refused is replaced once, and a second refusal is the answer.
 */
import { type Challenge, findChallenge } from './challenge.ts'
import { type Credentials, PasswordCredentials } from './credentials.ts'
import { challengesOf, type Endpoint } from './endpoint.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { discard, type Send, type UpstreamRequest, type UpstreamResponse } from './exchange.ts'
import { parseRealm, type RealmPolicy } from './realm.ts'
import type { TokenRequest, TokenSource } from './token-source.ts'

export interface AuthorizerOptions {
  readonly send: Send
  readonly endpoint: Endpoint
  readonly tokens: TokenSource
  readonly credentials: Credentials | undefined
  readonly realmPolicy: RealmPolicy
}

/** What a request is given, and how it was come by. */
interface Grant {
  readonly header?: string
  readonly token?: { readonly request: TokenRequest; readonly text: string }
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
    const first = await this.#grant(isOwn ? this.#challenges : [], request, isOwn)
    const response = await this.#options.send(withGrant(request, first))
    if (response.status !== 401) return response
    if (first.token) this.#options.tokens.forgetToken(first.token.request, first.token.text)
    const challenges = await this.#challengesAfter(response, request, isOwn)
    if (isOwn && challenges.length > 0) this.#challenges = challenges
    const second = await this.#grant(challenges, request, isOwn)
    if (second.header === undefined || second.header === first.header) return response
    await discard(response)
    const answer = await this.#options.send(withGrant(request, second))
    if (answer.status === 401 && second.distrusted) throw await distrust(answer, second.distrusted)
    return answer
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
  ): Promise<Grant> {
    const credentials = isOwn ? this.#options.credentials : undefined
    const bearer = findChallenge(challenges, 'bearer')
    if (bearer !== undefined) return await this.#bearerGrant(bearer, request, credentials)
    const isBasic = findChallenge(challenges, 'basic') !== undefined
    return isBasic && credentials instanceof PasswordCredentials
      ? { header: credentials.toBasic() }
      : {}
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
    const text = await this.#options.tokens.getToken(tokenRequest, request.signal)
    return {
      header: `Bearer ${text}`,
      token: { request: tokenRequest, text },
      ...(credentials !== undefined && !isTrusted && { distrusted: realm }),
    }
  }
}

function withGrant(request: UpstreamRequest, { header }: Grant): UpstreamRequest {
  if (header === undefined) return request
  return { ...request, headers: { ...request.headers, authorization: header } }
}

async function distrust(response: UpstreamResponse, realm: URL): Promise<UpstreamError> {
  await discard(response)
  const { host } = response.url
  return new UpstreamError(
    `${host} sends to the token service ${realm.origin} to log in, ` +
      'which was not given the credentials because it is not to be trusted with them',
    { host, problem: 'status', status: 401, codes: ['UNAUTHORIZED'] },
  )
}
