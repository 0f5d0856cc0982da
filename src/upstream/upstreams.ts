/**
 * All other registries, as the pull-through asks them: by the entry that a repository falls under,
 * at each of its endpoints in turn until one has a definite answer, and not at all while offline.
 * Public hosts without an entry are asked too, as far as the settings allow it.
 */
import { limits } from '../config/limits.ts'
import type { Digest } from '../oci/digest.ts'
import { dockerHub } from '../oci/image-reference.ts'
import type { Reference } from '../oci/reference.ts'
import type { Tag } from '../oci/tag.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { PageRequest } from '../registry/ports/metadata-store.ts'
import type { Referrer } from '../registry/ports/records.ts'
import type {
  Upstream,
  UpstreamBlob,
  UpstreamCall,
  UpstreamManifest,
  UpstreamRepository,
  UpstreamTag,
} from '../registry/ports/upstream.ts'
import { flightOf } from '../registry/proxy-chain.ts'
import type { PullCounts } from '../registry/pull-counts.ts'
import type { UpstreamState } from '../registry/upstream-state.ts'
import { notAsked, unlisted } from './address-guard.ts'
import { canonicalSettings, chooseEntry } from './choose-entry.ts'
import type { RegistryClient } from './client.ts'
import { answerWithin } from './deadline.ts'
import { heldBlob } from './held-blob.ts'
import type { UpstreamManifest as FetchedManifest } from './manifest-answer.ts'
import { passingStatuses } from './status-error.ts'
import { readTagPage } from './tag-page.ts'
import type { UpstreamClient } from './upstream-client.ts'
import { UpstreamClients, type UpstreamParts } from './upstream-clients.ts'
import type { UpstreamEntry, UpstreamSettings } from './upstream-settings.ts'

type Work<T> = (client: RegistryClient, signal: AbortSignal, held: UpstreamClient) => Promise<T>

export class Upstreams implements Upstream, AsyncDisposable {
  #settings: UpstreamSettings
  readonly #clients: UpstreamClients
  readonly #counts: PullCounts | undefined
  readonly #proxyName: string

  constructor(settings: UpstreamSettings, parts: UpstreamParts) {
    this.#settings = canonicalSettings(settings)
    this.#clients = new UpstreamClients(this.#settings.registries, parts)
    this.#counts = parts.counts
    this.#proxyName = parts.proxyName
    this.#nameHosts()
  }

  /** What is under way goes on as it began. */
  reload(settings: UpstreamSettings): void {
    this.#settings = canonicalSettings(settings)
    this.#clients.reload(this.#settings.registries)
    this.#nameHosts()
  }

  /** Nobody is asked for anything. */
  get offline(): boolean {
    return this.#settings.offline
  }

  /** Of the upstreams that were asked since they were last configured. */
  states(): UpstreamState[] {
    return this.#clients.states
  }

  /** Of those, and of all that the configuration names. */
  allStates(): UpstreamState[] {
    return this.#clients.allStates
  }

  /**
   * Only what is asked elsewhere than at the registry itself, or under the name that it came with, can
   * come back here; Docker Hub asks nobody.
   */
  flightOf(target: UpstreamRepository, via: readonly string[]): string {
    const { endpoints = [] } = chooseEntry(this.#settings, target)?.entry ?? {}
    const isDefault = target.host === this.#settings.defaultUpstream && target.host !== dockerHub
    return endpoints.length > 0 || isDefault ? flightOf(via, this.#proxyName) : ''
  }

  async getManifest(
    target: UpstreamRepository,
    reference: Reference,
    call: UpstreamCall,
  ): Promise<UpstreamManifest> {
    return await this.#ask(target, call, async (client, signal) =>
      this.#fetched(target, await client.getManifest(target.repository, reference, signal)),
    )
  }

  async headManifest(
    target: UpstreamRepository,
    reference: Reference,
    call: UpstreamCall,
  ): Promise<UpstreamTag> {
    return await this.#ask(target, call, async (client, signal) => {
      const { manifest, ...head } = await client.headManifest(target.repository, reference, signal)
      return { ...head, ...(manifest && { manifest: this.#fetched(target, manifest) }) }
    })
  }

  async headBlob(
    target: UpstreamRepository,
    digest: Digest,
    call: UpstreamCall,
  ): Promise<number | undefined> {
    return await this.#ask(
      target,
      call,
      async (client, signal) => await client.headBlob(target.repository, digest, signal),
    )
  }

  async getBlob(
    target: UpstreamRepository,
    digest: Digest,
    offset: number,
    call: UpstreamCall,
  ): Promise<UpstreamBlob> {
    const onBytes = (bytes: number): void => this.#counts?.countFetched(target.host, bytes)
    return await this.#ask(target, call, async (client, signal, held) => {
      using begun = new DisposableStack()
      begun.use(await held.beginTransfer(signal))
      const blob = await client.getBlob(target.repository, digest, signal, offset)
      const transfer = begun.move()
      return heldBlob(blob, { release: () => transfer.dispose(), onBytes })
    })
  }

  async listTags(
    target: UpstreamRepository,
    page: PageRequest,
    call: UpstreamCall,
  ): Promise<{ entries: Tag[]; next?: string }> {
    const entries = await this.#ask(
      target,
      call,
      async (client, signal) => await readTagPage(client, target, page, signal),
    )
    const last = entries.at(-1)
    // A full page may be the last one; the one after it is empty then.
    return { entries, ...(last !== undefined && entries.length === page.limit && { next: last }) }
  }

  async listReferrers(
    target: UpstreamRepository,
    subject: Digest,
    call: UpstreamCall,
  ): Promise<Referrer[]> {
    return await this.#ask(
      target,
      call,
      async (client, signal) => await client.listReferrers(target.repository, subject, signal),
    )
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clients[Symbol.asyncDispose]()
  }

  #nameHosts(): void {
    this.#counts?.nameHosts(this.#settings.registries.map(({ host }) => host))
  }

  #fetched({ host }: UpstreamRepository, manifest: FetchedManifest): UpstreamManifest {
    const { length: size } = manifest.bytes
    this.#counts?.countFetched(host, size)
    return { ...manifest, size }
  }

  async #ask<T>(target: UpstreamRepository, call: UpstreamCall, work: Work<T>): Promise<T> {
    const { signal, via } = call
    signal.throwIfAborted()
    const { host } = target
    if (this.#settings.offline) {
      const problem = `${host} was not asked: registry_proxies.offline is set`
      throw new UpstreamError(problem, { host, problem: 'offline' })
    }
    const chosen = chooseEntry(this.#settings, target)
    if (chosen === undefined) {
      throw notAsked(host, `${unlisted}, and registry_proxies.allow_unlisted does not allow it`)
    }
    const clients = this.#clients.find(target, chosen)
    return await answerWithin(
      answerSecondsOf(chosen.entry),
      { host, signal },
      async (signal) => await askInTurn(clients, { signal, via }, work),
    )
  }
}

async function askInTurn<T>(
  clients: readonly UpstreamClient[],
  { signal, via }: UpstreamCall,
  work: Work<T>,
): Promise<T> {
  // A reload must not take those away whose turn is still to come.
  const releases = clients.map((client) => client.hold())
  let failure: unknown
  try {
    for (const client of clients) {
      try {
        return await client.ask(via, async (registry) => await work(registry, signal, client))
      } catch (error) {
        failure = error
        if (signal.aborted || !mayDoBetterElsewhere(error)) break
      }
    }
  } finally {
    for (const release of releases) release()
  }
  throw failure
}

/**
 * An answer about the content is one for all endpoints; all else is a matter of one of them, also
 * that this one would only ask in a circle (508).
 */
function mayDoBetterElsewhere(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false
  const { problem, status = 0 } = error
  return problem !== 'status' || status === 508 || passingStatuses.has(status)
}

function answerSecondsOf({ connectTimeoutSeconds, headersTimeoutSeconds }: UpstreamEntry): number {
  const asked =
    (connectTimeoutSeconds ?? limits.upstreamPullConnectSecondsDefault) +
    (headersTimeoutSeconds ?? limits.upstreamPullHeadersSecondsDefault)
  return Math.max(limits.upstreamAnswerSecondsMax, asked)
}
