/**
 * The lowest layer: HTTP/1.1 over undici with a bounded pool of connections per origin, time-outs
 * at every stage, and certificates checked unless that is turned off by name; through a proxy where
 * one is to be used. It knows nothing of registries, sends what it is given, and decodes nothing.
 */
import type { LookupFunction } from 'node:net'
import { Readable } from 'node:stream'
import { version } from '../config/version.ts'
import type { Dispatchers } from './dispatchers.ts'
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
  #dispatchers: Promise<Dispatchers> | undefined

  constructor(options: TransportOptions = {}) {
    this.#options = options
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
    this.#dispatchers ??= makeDispatchers(this.#options)
    const dispatchers = await this.#dispatchers
    try {
      const answer = await dispatchers.get(proxy).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { 'user-agent': `trow/${version}`, 'accept-encoding': 'identity', ...headers },
        body: typeof body === 'function' ? Readable.from(body()) : (body ?? null),
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

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    const dispatchers = await this.#dispatchers
    await dispatchers?.[Symbol.asyncDispose]()
  }
}

async function makeDispatchers(options: TransportOptions): Promise<Dispatchers> {
  const { Dispatchers } = await import('./dispatchers.ts')
  return new Dispatchers(options)
}
