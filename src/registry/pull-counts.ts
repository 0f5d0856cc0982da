/**
 * What came of pulls from other registries, counted for each of them since the start: the one source
 * of the metrics and of `/api/upstreams`. Invariant: beside the hosts that the configuration names,
 * at most `hostsMax` are counted by name; clients choose hosts, so the others are counted together.
 */
import { UpstreamError } from '../oci/upstream-error.ts'
import type { CacheStatus } from './cache-status.ts'
import type { BlobReader } from './ports/blob-store.ts'
import { isUnknown } from './upstream-failure.ts'

export type PullKind = 'manifest' | 'blob' | 'tags' | 'referrers'

/** What a pull came to: how the cache answered it, or that there was nothing to answer. */
export type PullOutcome = CacheStatus | 'FAILED'

export interface UpstreamCounts {
  /** As images name it, or `other`. */
  readonly host: string
  readonly pulls: Readonly<Record<PullKind, Readonly<Record<PullOutcome, number>>>>
  /** Requests sent to the upstream itself, repeated ones too. */
  readonly requests: number
  /** Bytes of manifests and blobs that came from the upstream. */
  readonly fetchedBytes: number
  /** Bytes of those that were sent to clients without being fetched for them. */
  readonly savedBytes: number
}

export const otherHosts = 'other'

interface Counts {
  readonly host: string
  readonly pulls: Record<PullKind, Record<PullOutcome, number>>
  requests: number
  fetchedBytes: number
  savedBytes: number
}

export class PullCounts {
  readonly #hostsMax: number
  readonly #counts = new Map<string, Counts>()
  /** Those of the configuration, of now and of before. */
  readonly #named = new Set<string>()
  #unnamed = 0

  constructor(settings: { readonly hostsMax: number }) {
    this.#hostsMax = settings.hostsMax
  }

  /** These are counted by name, whatever else is asked for. */
  nameHosts(hosts: readonly string[]): void {
    for (const host of hosts) {
      if (this.#counts.has(host) && !this.#named.has(host)) this.#unnamed -= 1
      this.#named.add(host)
    }
  }

  /** What the host is counted as. */
  labelOf(host: string): string {
    return this.#counts.has(host) ? host : otherHosts
  }

  get all(): readonly UpstreamCounts[] {
    return [...this.#counts.values()]
  }

  /** Counts a pull when it is known what it came to. */
  async track<T extends { readonly status: CacheStatus }>(
    host: string,
    kind: PullKind,
    pull: Promise<T>,
  ): Promise<T> {
    try {
      const pulled = await pull
      this.#of(host).pulls[kind][pulled.status] += 1
      return pulled
    } catch (error) {
      if (isFailure(error)) this.#countFailure(host, kind, error)
      throw error
    }
  }

  /** The same reader, whose bytes are counted as they are sent, and whose upstream may still fail. */
  watch(host: string, status: CacheStatus, reader: BlobReader): BlobReader {
    return {
      size: reader.size,
      read: (range) => this.#watched(host, status, reader.read(range)),
      [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
    }
  }

  /** @param status of the answer that the bytes are sent with. */
  countSent(host: string, status: CacheStatus, bytes: number): void {
    if (status !== 'MISS') this.#of(host).savedBytes += bytes
  }

  countFetched(host: string, bytes: number): void {
    this.#of(host).fetchedBytes += bytes
  }

  countRequest(host: string): void {
    this.#of(host).requests += 1
  }

  async *#watched(
    host: string,
    status: CacheStatus,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        const { length } = chunk
        yield chunk
        // The next one is asked for when this one was sent.
        this.countSent(host, status, length)
      }
    } catch (error) {
      if (isFailure(error)) this.#countFailure(host, 'blob', error)
      throw error
    }
  }

  #countFailure(host: string, kind: PullKind, error: unknown): void {
    // Of hosts that must not be asked anybody can make up as many as they like.
    const isForbidden = upstreamErrorOf(error)?.problem === 'address' && !this.#counts.has(host)
    this.#of(isForbidden ? otherHosts : host).pulls[kind].FAILED += 1
  }

  #of(host: string): Counts {
    const known = this.#counts.get(host)
    if (known !== undefined) return known
    const isNamed = host === otherHosts || this.#named.has(host)
    if (!isNamed && this.#unnamed >= this.#hostsMax) return this.#of(otherHosts)
    if (!isNamed) this.#unnamed += 1
    const pulls = {
      manifest: noPulls(),
      blob: noPulls(),
      tags: noPulls(),
      referrers: noPulls(),
    }
    const counts = { host, pulls, requests: 0, fetchedBytes: 0, savedBytes: 0 }
    this.#counts.set(host, counts)
    return counts
  }
}

function noPulls(): Record<PullOutcome, number> {
  return { HIT: 0, MISS: 0, STALE: 0, COALESCED: 0, FAILED: 0 }
}

/** That an upstream does not have something is an answer like any other. */
function isFailure(error: unknown): boolean {
  const failure = upstreamErrorOf(error)
  return failure !== undefined && !isUnknown(failure)
}

function upstreamErrorOf(error: unknown): UpstreamError | undefined {
  if (error instanceof UpstreamError) return error
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof UpstreamError ? cause : undefined
}
