/**
 * The connections of one transport, over undici: a pool for each origin, and one for each proxy. Loaded
 * when the first request is sent, as undici takes 8 MiB and a registry may never ask another one.
 */
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent, type Dispatcher, Pool, ProxyAgent } from 'undici'
import { limits } from '../config/limits.ts'
import type { TransportOptions } from './transport.ts'

export class Dispatchers implements AsyncDisposable {
  readonly #options: TransportOptions
  readonly #secureContext: SecureContext | undefined
  /** One for direct connections, under no name, and one for each proxy. */
  readonly #dispatchers = new Map<string, Dispatcher>()

  constructor(options: TransportOptions) {
    this.#options = options
    this.#secureContext = secureContextOf(options)
  }

  get(proxy: URL | undefined): Dispatcher {
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
