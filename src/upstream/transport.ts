/**
 * The lowest layer: HTTP/1.1 over undici with a bounded pool of connections per origin, time-outs
 * at every stage, and certificates checked unless that is turned off by name; through a proxy where
 * one is to be used. It knows nothing of registries, sends what it is given, and decodes nothing.
 */
import type { LookupFunction } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, type Dispatcher, Pool, ProxyAgent } from 'undici'
import { limits } from '../config/limits.ts'
import { version } from '../config/version.ts'
import type { Send, UpstreamRequest, UpstreamResponse } from './exchange.ts'
import { networkError } from './network-error.ts'
import type { Proxies } from './proxies.ts'

export interface TransportOptions {
  /** Certificate authorities (PEM) trusted beside Node's own. */
  readonly authorities?: readonly string[]
  /** False accepts any certificate. */
  readonly verifyCertificates?: boolean
  /** Shown to servers that ask for one (PEM). */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
  /** Resolves the names that are connected to; those behind a proxy are the proxy's to resolve. */
  readonly lookup?: LookupFunction
  readonly proxies?: Proxies | undefined
  readonly connectionsMax?: number
  readonly connectSecondsMax?: number
  readonly headersSecondsMax?: number
  readonly bodyIdleSecondsMax?: number
}

/** What sends requests in the end; who holds one disposes of it. */
export interface Sender extends AsyncDisposable {
  readonly send: Send
}

export class Transport implements Sender {
  readonly #options: TransportOptions
  readonly #secureContext: SecureContext | undefined
  /** One for direct connections, under no name, and one for each proxy. */
  readonly #dispatchers = new Map<string, Dispatcher>()

  constructor(options: TransportOptions = {}) {
    this.#options = options
    this.#secureContext = secureContextOf(options)
  }

  readonly send: Send = async (request) => await this.#request(request)

  async #request({
    url,
    method,
    headers,
    body,
    signal,
  }: UpstreamRequest): Promise<UpstreamResponse> {
    signal.throwIfAborted()
    const proxy = this.#options.proxies?.find(url)
    try {
      const answer = await this.#dispatcher(proxy).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { 'user-agent': `trow/${version}`, 'accept-encoding': 'identity', ...headers },
        body: body ?? null,
        signal,
      })
      // A body that is let go of half-way reports that as an error, to nobody.
      answer.body.on('error', () => undefined)
      return { status: answer.statusCode, headers: answer.headers, body: answer.body, url }
    } catch (error) {
      signal.throwIfAborted()
      throw networkError(url, error, proxy)
    }
  }

  #dispatcher(proxy: URL | undefined): Dispatcher {
    const key = proxy?.href ?? ''
    const known = this.#dispatchers.get(key)
    if (known !== undefined) return known
    const dispatcher = proxy === undefined ? this.#direct() : this.#through(proxy)
    this.#dispatchers.set(key, dispatcher)
    return dispatcher
  }

  #direct(): Dispatcher {
    const { lookup } = this.#options
    const connect = { ...this.#tls(), ...(lookup !== undefined && { lookup }) }
    return new Agent({ ...boundsOf(this.#options), connect })
  }

  /** A tunnel for https, a request in the absolute form for http (RFC 9112, 3.2.2). */
  #through(proxy: URL): Dispatcher {
    const bounds = boundsOf(this.#options)
    return new ProxyAgent({
      ...bounds,
      uri: proxy.href,
      requestTls: { ...this.#tls(), allowH2: false },
      proxyTls: { allowH2: false },
      // Each tunnel takes a connection for itself; a proxy has as long to open it as a server has.
      clientFactory: (origin, options) =>
        new Pool(origin, { ...options, headersTimeout: bounds.connectTimeout }),
      factory: (origin, options: object) => new Pool(origin, { ...bounds, ...options }),
    })
  }

  #tls() {
    return {
      rejectUnauthorized: this.#options.verifyCertificates ?? true,
      ...(this.#secureContext !== undefined && { secureContext: this.#secureContext }),
    }
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map((dispatcher) => dispatcher.destroy()))
  }
}

function boundsOf(options: TransportOptions) {
  return {
    allowH2: false,
    connections: options.connectionsMax ?? limits.upstreamConnectionsMax,
    maxOrigins: limits.upstreamOriginsMax,
    maxHeaderSize: limits.headerBytesMax,
    connectTimeout: 1000 * (options.connectSecondsMax ?? limits.upstreamConnectSecondsMax),
    headersTimeout: 1000 * (options.headersSecondsMax ?? limits.upstreamHeadersSecondsMax),
    bodyTimeout: 1000 * (options.bodyIdleSecondsMax ?? limits.upstreamBodyIdleSecondsMax),
  }
}

/** One context for all connections: parsing the authorities takes longer than a handshake. */
function secureContextOf(options: TransportOptions): SecureContext | undefined {
  const { authorities = [], clientCertificate } = options
  if (authorities.length === 0 && clientCertificate === undefined) return undefined
  return createSecureContext({
    ...(authorities.length > 0 && { ca: [...getCACertificates('default'), ...authorities] }),
    ...clientCertificate,
  })
}
