/**
 * The clients of all upstreams that were asked, one for each host and entry, made when it is first
 * asked. Invariant: at most `upstreamClientsMax`; hosts without an entry make room first, so that
 * asking for many of them makes no configured one forget what its upstream said.
 */
import { limits } from '../config/limits.ts'
import { parseRegistryHost, type RegistryHost } from '../oci/image-reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { UpstreamRepository } from '../registry/ports/upstream.ts'
import type { PullCounts } from '../registry/pull-counts.ts'
import type { UpstreamState } from '../registry/upstream-state.ts'
import type { Resolver } from './address-guard.ts'
import { type ChosenEntry, chooseEntry, withoutIdentity } from './choose-entry.ts'
import type { EcrCredentials } from './ecr-credentials.ts'
import { fingerprint } from './entry-fingerprint.ts'
import type { Proxies } from './proxies.ts'
import type { TransportFactory } from './routed-transport.ts'
import type { Timer } from './timer.ts'
import { UpstreamClient } from './upstream-client.ts'
import { type Health, UpstreamHealth } from './upstream-health.ts'
import type { UpstreamEntry, UpstreamLog } from './upstream-settings.ts'

export interface UpstreamParts {
  readonly timer: Timer
  readonly random?: () => number
  readonly log?: UpstreamLog
  /** Told of every request, and of the bytes that come. */
  readonly counts?: PullCounts
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
  readonly place: Place
}

type Place = Pick<UpstreamState, 'host' | 'pathPrefix' | 'endpoint' | 'listed'>

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
    return hostsOf(target, chosen).map((host) => this.#find(target, chosen, host))
  }

  get states(): UpstreamState[] {
    return [...this.#kept.values()].map(stateOf)
  }

  /** Of all that the configuration names, in its order, then of the others that were asked. */
  get allStates(): UpstreamState[] {
    const configured = new Map(this.#registries.flatMap((entry) => this.#statesOfEntry(entry)))
    const others = [...this.#kept].filter(([key]) => !configured.has(key))
    return [...configured.values(), ...others.map(([, kept]) => stateOf(kept))]
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

  /** Before its first request an upstream has nothing to tell but where it is. */
  #statesOfEntry(entry: UpstreamEntry): [key: string, state: UpstreamState][] {
    const repository = (entry.pathPrefix ?? '') as RepositoryName
    const target = { host: entry.host as RegistryHost, repository }
    const chosen = { entry, listed: true }
    return hostsOf(target, chosen).map((host) => {
      const { key } = this.#choose(target, chosen, host)
      const health = this.#kept.get(key)?.client.health ?? this.#healths.get(key)
      const known: Health = health?.state ?? { breaker: 'closed' }
      return [key, { ...placeOf(target, chosen, host), ...known }]
    })
  }

  #choose(
    target: UpstreamRepository,
    chosen: ChosenEntry,
    host: RegistryHost,
  ): { entry: UpstreamEntry; key: string } {
    const entry = host === target.host ? chosen.entry : this.#endpointEntry(target, chosen, host)
    const { pathPrefix } = chosen.entry
    const key = JSON.stringify([target.host, pathPrefix, host, chosen.listed, fingerprint(entry)])
    return { entry, key }
  }

  #find(target: UpstreamRepository, chosen: ChosenEntry, host: RegistryHost): UpstreamClient {
    const { entry, key } = this.#choose(target, chosen, host)
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
    const { timer, log, counts } = this.#parts
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
      onRequest: () => counts?.countRequest(target.host),
    })
    return { client, place: placeOf(target, chosen, host) }
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

function hostsOf({ host }: UpstreamRepository, { entry }: ChosenEntry): RegistryHost[] {
  return entry.endpoints.length === 0 ? [host] : entry.endpoints.map(parseRegistryHost)
}

function placeOf(
  target: UpstreamRepository,
  { entry: { pathPrefix }, listed }: ChosenEntry,
  host: RegistryHost,
): Place {
  return {
    host: target.host,
    ...(pathPrefix !== undefined && { pathPrefix }),
    ...(host !== target.host && { endpoint: host }),
    listed,
  }
}

function stateOf({ client, place }: Kept): UpstreamState {
  return { ...place, ...client.health.state }
}
