/**
 * Where a registry's API is: its host, and which of the allowed schemes it answers on. Plain http
 * is only ever tried when the caller lists it; the first scheme that answers is kept.
 */
import { isIPv4 } from 'node:net'
import { dockerHub, type RegistryHost } from '../oci/image-reference.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { UpstreamError } from '../oci/upstream-error.ts'
import { discard, headerOf, type Send, type UpstreamResponse } from './exchange.ts'
import { networkError } from './network-error.ts'
import { SharedFlight } from './shared-flight.ts'

export type Scheme = 'https' | 'http'

/** What `GET /v2/` told about a registry. */
export interface Ping {
  readonly status: number
  readonly challenges: readonly Challenge[]
  /** Where the answer came from. */
  readonly url: URL
}

export class Endpoint {
  readonly #host: string
  readonly #schemes: readonly Scheme[]
  readonly #send: Send
  readonly #flights = new SharedFlight<URL>()
  #origin: URL | undefined

  /** @param schemes in the order in which they are tried; not empty. */
  constructor(registry: RegistryHost, schemes: readonly Scheme[], send: Send) {
    this.#host = apiHost(registry)
    this.#schemes = schemes
    this.#send = send
  }

  /** The origin of the API, without a request where there is only one scheme. */
  async getOrigin(signal: AbortSignal): Promise<URL> {
    if (this.#origin === undefined && this.#schemes.length === 1) {
      this.#origin = this.#url(this.#schemes[0] ?? 'https')
    }
    return this.#origin ?? (await this.#flights.join('', signal, async (s) => await this.#find(s)))
  }

  /** Asks for nothing but the challenges; some registries send none with other answers. */
  async ping(origin: URL, signal: AbortSignal): Promise<Ping> {
    const response = await this.#send(pingRequest(origin, signal))
    await discard(response)
    return { status: response.status, challenges: challengesOf(response), url: response.url }
  }

  async #find(signal: AbortSignal): Promise<URL> {
    let failure: UpstreamError | undefined
    for (const scheme of this.#schemes) {
      const origin = this.#url(scheme)
      try {
        const { status, url } = await this.ping(origin, signal)
        // How a server of https answers to plain http, among other reasons for a 400.
        if (status === 400) continue
        this.#origin = movedToHttps(origin, url) ? new URL(url.origin) : origin
        return this.#origin
      } catch (error) {
        signal.throwIfAborted()
        const problem = networkError(origin, error)
        // Whoever cannot prove who they are is not to be met without any proof either.
        if (problem.problem === 'certificate') throw problem
        failure ??= problem
      }
    }
    if (failure !== undefined) throw failure
    return this.#url(this.#schemes[0] ?? 'https')
  }

  #url(scheme: Scheme): URL {
    return new URL(`${scheme}://${this.#host}`)
  }
}

/** A server that sends plain http to https means it for every request. */
function movedToHttps(from: URL, to: URL): boolean {
  return from.protocol === 'http:' && to.protocol === 'https:' && from.hostname === to.hostname
}

export function challengesOf(response: UpstreamResponse): Challenge[] {
  return parseChallenges(headerOf(response.headers, 'www-authenticate') ?? '')
}

function pingRequest(origin: URL, signal: AbortSignal): Parameters<Send>[0] {
  return { method: 'GET', url: new URL('/v2/', origin), headers: {}, signal }
}

/** Docker Hub is named after one host and served by another. */
export function apiHost(registry: RegistryHost): string {
  return registry === dockerHub ? 'registry-1.docker.io' : registry
}

/** Hosts on this machine, which clients by custom reach without TLS. */
export function isLoopbackHost(registry: RegistryHost): boolean {
  const { hostname } = new URL(`http://${registry}`)
  if (hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]')
    return true
  return isIPv4(hostname) && hostname.startsWith('127.')
}
