/**
 * The layers of this folder put together for one registry: a request is retried, redirected,
 * authorised and sent, in this order, and any status but 200 becomes an UpstreamError. Token
 * requests go the same way, without the authorisation.
 */
import { limits } from '../config/limits.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { Authorizer } from './authorization.ts'
import type { Credentials, CredentialSource } from './credentials.ts'
import { Endpoint, type Scheme } from './endpoint.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import {
  contentError,
  readJson,
  type Send,
  type UpstreamRequest,
  type UpstreamResponse,
} from './exchange.ts'
import { nextPage } from './pagination.ts'
import { type RealmPolicy, secureRealm } from './realm.ts'
import { followingRedirects } from './redirect.ts'
import { defaultRetryPolicy, retrying, type RetryPolicy } from './retry.ts'
import { statusError } from './status-error.ts'
import { systemTimer, type Timer } from './timer.ts'
import { TokenSource } from './token-source.ts'

export interface RegistrySessionOptions {
  readonly registry: RegistryHost
  /** The lowest layer. */
  readonly send: Send
  /** Tried in this order until one is answered; `['https']` unless plain http was asked for. */
  readonly schemes?: readonly Scheme[]
  readonly credentials?: Credentials | CredentialSource | undefined
  readonly realmPolicy?: RealmPolicy
  /** Sent with each request for content, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
  /** The registry whose content is asked for, where the one that is asked stands in for it. */
  readonly namespace?: RegistryHost
  readonly retryPolicy?: RetryPolicy
  readonly timer?: Timer
  readonly random?: () => number
}

export interface SessionRequest {
  readonly method?: UpstreamRequest['method']
  /** On the registry, with its query. */
  readonly path: string
  readonly scope: string
  readonly accept?: string
  /** Others, by lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: UpstreamRequest['body']
  readonly signal: AbortSignal
}

/** Where a list begins and how many entries at a time it is asked for. */
export interface PageStart {
  /** The last entry that is known already. */
  readonly last?: string
  readonly entries?: number
}

/** What all requests to one registry go through. */
interface Layers {
  readonly endpoint: Endpoint
  readonly timer: Timer
  readonly send: Send
}

export class RegistrySession {
  readonly #layers: Layers
  readonly #options: RegistrySessionOptions

  constructor(options: RegistrySessionOptions, layers = layersOf(options)) {
    this.#options = options
    this.#layers = layers
  }

  /** The same session, which sends these with each request for content, by lower-case name. */
  withHeaders(headers: Readonly<Record<string, string>>): RegistrySession {
    return new RegistrySession({ ...this.#options, headers }, this.#layers)
  }

  /** The answer, whatever its status, and how to make an error of it. */
  async send(
    request: SessionRequest,
  ): Promise<{ response: UpstreamResponse; failure: () => Promise<UpstreamError> }> {
    const sent = await this.#complete(request)
    const response = await this.#layers.send(sent)
    return {
      response,
      failure: async () => await statusError(sent, response, this.#layers.timer.now()),
    }
  }

  /** @throws UpstreamError for any status but 200. */
  async get(request: SessionRequest): Promise<UpstreamResponse> {
    const { response, failure } = await this.send(request)
    if (response.status !== 200) throw await failure()
    return response
  }

  /** The JSON documents of a paged list, each fetched when it is asked for. */
  async *listPages(
    request: SessionRequest,
    { last, entries = limits.upstreamPageEntries }: PageStart = {},
  ): AsyncGenerator<Record<string, unknown>, void, undefined> {
    const query = new URLSearchParams({ n: String(entries), ...(last !== undefined && { last }) })
    let path = `${request.path}?${query.toString()}`
    for (let pages = 1; ; pages++) {
      const response = await this.#getPage({ ...request, path })
      yield await readJson(response, limits.upstreamPageBytesMax, request.signal)
      const next = nextPage(response)
      if (next === undefined) return
      if (pages === limits.upstreamPagesMax) {
        throw contentError(response.url, `its list has more than ${pages} pages`)
      }
      path = next
    }
  }

  /** Where its operator allows fewer on a page (distribution's `catalog.maxentries`), as many as that. */
  async #getPage(request: SessionRequest): Promise<UpstreamResponse> {
    try {
      return await this.get(request)
    } catch (error) {
      const isTooMany =
        error instanceof UpstreamError && error.codes.includes('PAGINATION_NUMBER_INVALID')
      if (!isTooMany) throw error
      const [path = '', query] = request.path.split('?')
      const parameters = new URLSearchParams(query)
      if (!parameters.has('n')) throw error
      parameters.delete('n')
      return await this.get({ ...request, path: `${path}?${parameters.toString()}` })
    }
  }

  async #complete(request: SessionRequest): Promise<UpstreamRequest> {
    const { method = 'GET', path, scope, accept, body, signal } = request
    const { namespace, headers: common } = this.#options
    const url = new URL(path, await this.#layers.endpoint.getOrigin(signal))
    // As containerd has it (specification, "Registry Proxying"); pages that follow may have it already.
    if (namespace !== undefined) url.searchParams.set('ns', namespace)
    const headers = { ...common, ...(accept !== undefined && { accept }), ...request.headers }
    return { method, url, headers, scope, signal, ...(body !== undefined && { body }) }
  }
}

function layersOf(options: RegistrySessionOptions): Layers {
  const { send, timer = systemTimer, random = Math.random } = options
  const retry = { policy: options.retryPolicy ?? defaultRetryPolicy, timer, random }
  const unauthorized = followingRedirects(send)
  const endpoint = new Endpoint(options.registry, options.schemes ?? ['https'], unauthorized)
  const authorizer = new Authorizer({
    send,
    endpoint,
    tokens: new TokenSource(retrying(unauthorized, retry), timer),
    credentials: options.credentials,
    realmPolicy: options.realmPolicy ?? secureRealm,
  })
  return { endpoint, timer, send: retrying(followingRedirects(authorizer.send), retry) }
}
