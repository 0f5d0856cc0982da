/**
 * Chooses how each request travels. The registry's own host is reached as its entry says; hosts that
 * other entries name as those say, without anybody's client certificate; every other one, wherever
 * a redirect or a token realm leads, has to be a public one.
 */
import type { RegistryHost } from '../oci/image-reference.ts'
import { limits } from '../config/limits.ts'
import { guarded, guardedLookup, notAsked, type Resolver } from './address-guard.ts'
import { withoutIdentity } from './choose-entry.ts'
import { apiHost } from './endpoint.ts'
import type { Send } from './exchange.ts'
import type { Proxies } from './proxies.ts'
import { isAuthHost } from './realm.ts'
import { type Sender, Transport, type TransportOptions } from './transport.ts'
import type { UpstreamEntry } from './upstream-settings.ts'

export type TransportFactory = (options: TransportOptions) => Sender

export interface RoutedTransportOptions {
  /** The host that is asked, which may be one that the entry names. */
  readonly host: RegistryHost
  readonly entry: UpstreamEntry
  /** False when nobody vouches for the host. */
  readonly listed: boolean
  readonly registries: readonly UpstreamEntry[]
  readonly transportFactory?: TransportFactory | undefined
  readonly resolver?: Resolver | undefined
  readonly proxies?: Proxies | undefined
}

export class RoutedTransport implements Sender {
  readonly #options: RoutedTransportOptions
  readonly #ownName: string
  readonly #senders = new Map<string, Sender>()

  constructor(options: RoutedTransportOptions) {
    this.#options = options
    this.#ownName = hostnameOf(options.host)
  }

  readonly send: Send = async (request) => {
    const { url } = request
    if (!this.#options.listed) return await this.#public(request)
    const route = this.isOwn(url) ? this.#options.entry : this.#findVoucher(url)
    if (route === undefined) return await this.#public(request)
    if (url.protocol === 'http:' && !route.insecure) {
      throw notAsked(
        url.host,
        'it is plain http, which its entry in registry_proxies.registries does not allow',
      )
    }
    const key = route === this.#options.entry ? 'own' : `listed ${url.host}`
    return await this.#sender(key, () => transportOptions(route)).send(request)
  }

  /** Whether a URL is on the registry's own host, on any port. */
  isOwn(url: URL): boolean {
    return url.hostname === this.#ownName
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#senders.values()].map((sender) => sender[Symbol.asyncDispose]()))
  }

  /** The entry by which another host may be trusted, whatever its address is. */
  #findVoucher(url: URL): UpstreamEntry | undefined {
    const { registries, entry } = this.#options
    const { protocol, host } = url
    const other = registries.find(
      (one) => new URL(`${protocol}//${apiHost(one.host as RegistryHost)}`).host === host,
    )
    if (other !== undefined) return withoutIdentity(other)
    return isAuthHost(entry.authHosts ?? [], url) ? withoutIdentity(entry) : undefined
  }

  readonly #public: Send = async (request) => {
    const { resolver, entry } = this.#options
    const sender = this.#sender('public', () => ({
      ...timeouts(entry),
      lookup: guardedLookup(resolver),
    }))
    return await guarded(sender.send)(request)
  }

  #sender(key: string, options: () => TransportOptions): Sender {
    const known = this.#senders.get(key)
    if (known !== undefined) return known
    const { transportFactory = (given) => new Transport(given), proxies } = this.#options
    const sender = transportFactory({ ...options(), proxies })
    this.#senders.set(key, sender)
    return sender
  }
}

function transportOptions(entry: UpstreamEntry): TransportOptions {
  const { clientCertificate: identity } = entry
  return {
    ...timeouts(entry),
    verifyCertificates: !entry.skipVerify,
    ...(entry.ca !== undefined && { authorities: [entry.ca] }),
    ...(identity !== undefined && {
      clientCertificate: { cert: identity.cert, key: identity.key.reveal() },
    }),
  }
}

function timeouts(entry: UpstreamEntry): TransportOptions {
  return {
    connectSecondsMax: entry.connectTimeoutSeconds ?? limits.upstreamPullConnectSecondsDefault,
    headersSecondsMax: entry.headersTimeoutSeconds ?? limits.upstreamPullHeadersSecondsDefault,
    connectionsMax: entry.maxConnections ?? limits.upstreamPullConnectionsDefault,
  }
}

function hostnameOf(host: RegistryHost): string {
  return new URL(`https://${apiHost(host)}`).hostname
}
