/**
 * The clients of all upstreams that were asked, one for each host and entry, made when it is first
 * asked. Invariant: at most `upstreamClientsMax`; hosts without an entry make room first, so that
 * asking for many of them makes no configured one forget what its upstream said.
 */
import { limits } from '../config/limits.ts'
import { parseRegistryHost, type RegistryHost } from '../oci/image-reference.ts'
import type { UpstreamRepository } from '../registry/ports.ts'
import type { Resolver } from './address-guard.ts'
import { type ChosenEntry, chooseEntry, withoutIdentity } from './choose-entry.ts'
import type { EcrCredentials } from './ecr-credentials.ts'
import { fingerprint } from './entry-fingerprint.ts'
import type { Proxies } from './proxies.ts'
import type { TransportFactory } from './routed-transport.ts'
import type { Timer } from './timer.ts'
import { UpstreamClient } from './upstream-client.ts'
import { UpstreamHealth } from './upstream-health.ts'
import type { UpstreamEntry, UpstreamLog, UpstreamState } from './upstream-settings.ts'

export interface UpstreamParts {
  readonly timer: Timer
  readonly random?: () => number
  readonly log?: UpstreamLog
  readonly transportFactory?: TransportFactory
  /** Resolves the names of hosts that nobody vouches for. */
  readonly resolver?: Resolver
  /** Through which requests go that are not for a host nearby. */
  readonly proxies?: Proxies
  /** Logs in to private ECR registries that no entry has a login for. */
  readonly ecr?: EcrCredentials
  /** What this process calls itself in `Via`. */
  readonly proxyName: string
}

interface Kept {
  readonly client: UpstreamClient
  readonly place: Pick<UpstreamState, 'host' | 'pathPrefix' | 'endpoint'>
}

export class UpstreamClients implements AsyncDisposable {
  readonly #parts: UpstreamParts
  #registries: readonly UpstreamEntry[]
  /** In the order in which they were last used. */
  readonly #kept = new Map<string, Kept>()
  readonly #retired = new Set<UpstreamClient>()
  /** What is known about upstreams whose clients were replaced. */
  #healths = new Map<string, UpstreamHealth>()

  constructor(registries: readonly UpstreamEntry[], parts: UpstreamParts) {
    this.#registries = registries
    this.#parts = parts
  }

  /** Those to ask one after the other. */
  find(target: UpstreamRepository, chosen: ChosenEntry): UpstreamClient[] {
    const { endpoints } = chosen.entry
    const hosts = endpoints.length === 0 ? [target.host] : endpoints.map(parseRegistryHost)
    return hosts.map((host) => this.#find(target, chosen, host))
  }

  get states(): UpstreamState[] {
    return [...this.#kept.values()].map(({ client, place }) => ({
      ...place,
      ...client.health.state,
    }))
  }

  /** What is under way goes on as it began. */
  reload(registries: readonly UpstreamEntry[]): void {
    const before = fingerprint(this.#registries)
    this.#registries = registries
    if (fingerprint(registries) === before) return
    this.#healths = new Map([...this.#kept].map(([key, { client }]) => [key, client.health]))
    for (const key of this.#kept.keys()) this.#retire(key)
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const key of this.#kept.keys()) this.#retire(key)
    await Promise.all([...this.#retired].map((client) => client.close()))
  }

  #find(target: UpstreamRepository, chosen: ChosenEntry, host: RegistryHost): UpstreamClient {
    const entry = host === target.host ? chosen.entry : this.#endpointEntry(target, chosen, host)
    const { pathPrefix } = chosen.entry
    const key = JSON.stringify([target.host, pathPrefix, host, chosen.listed, fingerprint(entry)])
    const kept = this.#kept.get(key) ?? this.#make(key, target, { entry, chosen, host })
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    this.#makeRoom()
    return kept.client
  }

  /**
   * Credentials are for the host of their entry. An endpoint that has an entry of its own is asked as
   * that one says, any other one anonymously.
   */
  #endpointEntry(
    target: UpstreamRepository,
    { entry }: ChosenEntry,
    host: RegistryHost,
  ): UpstreamEntry {
    const own = { offline: false, allowUnlisted: false, registries: this.#registries }
    const chosen = chooseEntry(own, { host, repository: target.repository })
    return chosen?.entry ?? withoutIdentity(entry)
  }

  #make(
    key: string,
    target: UpstreamRepository,
    made: { entry: UpstreamEntry; chosen: ChosenEntry; host: RegistryHost },
  ): Kept {
    const { entry, chosen, host } = made
    const { timer, log } = this.#parts
    const health = this.#healths.get(key) ?? new UpstreamHealth(host, timer, log)
    const { listed } = chosen
    const registries = this.#registries
    const client = new UpstreamClient({
      ...this.#parts,
      host,
      ...(host !== target.host && { namespace: target.host }),
      entry,
      listed,
      registries,
      health,
    })
    const { pathPrefix } = chosen.entry
    const place = {
      host: target.host,
      ...(pathPrefix !== undefined && { pathPrefix }),
      ...(host !== target.host && { endpoint: host }),
    }
    return { client, place }
  }

  #makeRoom(): void {
    if (this.#kept.size <= limits.upstreamClientsMax) return
    const [oldest] = this.#kept.keys()
    const unlisted = this.#kept.entries().find(([, { client }]) => !client.listed)?.[0]
    const key = unlisted ?? oldest
    if (key !== undefined) this.#retire(key)
  }

  #retire(key: string): void {
    const client = this.#kept.get(key)?.client
    this.#kept.delete(key)
    if (client === undefined) return
    this.#retired.add(client)
    const forget = () => this.#retired.delete(client)
    client.retire().then(forget, forget)
  }
}
