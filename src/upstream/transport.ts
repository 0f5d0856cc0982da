/**
 * The lowest layer: HTTP/1.1 over undici with a bounded pool of connections per origin, time-outs
 * at every stage, and certificates checked unless that is turned off by name. It knows nothing of
 * registries, sends what it is given, and decodes nothing.
 */
import type { LookupFunction } from 'node:net'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { Agent } from 'undici'
import { limits } from '../config/limits.ts'
import { version } from '../config/version.ts'
import type { Send, UpstreamRequest, UpstreamResponse } from './exchange.ts'
import { networkError } from './network-error.ts'

export interface TransportOptions {
  /** Certificate authorities (PEM) trusted beside Node's own. */
  readonly authorities?: readonly string[]
  /** False accepts any certificate. */
  readonly verifyCertificates?: boolean
  /** Shown to servers that ask for one (PEM). */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
  /** Resolves the names that are connected to. */
  readonly lookup?: LookupFunction
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
  readonly #agent: Agent

  constructor(options: TransportOptions = {}) {
    const { verifyCertificates = true, lookup } = options
    const secureContext = secureContextOf(options)
    this.#agent = new Agent({
      allowH2: false,
      connections: options.connectionsMax ?? limits.upstreamConnectionsMax,
      maxOrigins: limits.upstreamOriginsMax,
      maxHeaderSize: limits.headerBytesMax,
      connectTimeout: 1000 * (options.connectSecondsMax ?? limits.upstreamConnectSecondsMax),
      headersTimeout: 1000 * (options.headersSecondsMax ?? limits.upstreamHeadersSecondsMax),
      bodyTimeout: 1000 * (options.bodyIdleSecondsMax ?? limits.upstreamBodyIdleSecondsMax),
      connect: {
        rejectUnauthorized: verifyCertificates,
        ...(secureContext !== undefined && { secureContext }),
        ...(lookup !== undefined && { lookup }),
      },
    })
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
    try {
      const answer = await this.#agent.request({
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
      throw networkError(url, error)
    }
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy()
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
