/**
 * What `/api/upstreams` tells of other registries: for each host its counts, and how each of the
 * hosts that are asked for it does. Its shape is a promise (docs/pull-through.md); no secret is in it.
 */
import type { Clock } from './ports/clock.ts'
import {
  otherHosts,
  type PullOutcome,
  type PullCounts,
  type UpstreamCounts,
} from './pull-counts.ts'
import type { RateLimit, SuspensionReason, UpstreamState } from './upstream-state.ts'

export interface UpstreamReport {
  /** Of the registry's clock. Times are RFC 3339. */
  readonly time: string
  /** That Trow runs on: `linux/amd64`. */
  readonly platform: string
  readonly offline: boolean
  /** Those of the configuration first, in its order, then the others by name. */
  readonly upstreams: readonly ReportedUpstream[]
  /** Of the hosts that are not counted by name. */
  readonly other: ReportedCounts
}

export interface ReportedUpstream {
  /** As images name it. */
  readonly host: string
  readonly listed: boolean
  readonly counts: ReportedCounts
  readonly endpoints: readonly ReportedEndpoint[]
}

/** Since the registry started. */
export interface ReportedCounts {
  readonly hits: number
  readonly misses: number
  readonly stale: number
  readonly coalesced: number
  readonly failures: number
  readonly savedBytes: number
  readonly fetchedBytes: number
  readonly requests: number
}

export interface ReportedEndpoint {
  /** That is asked. */
  readonly host: string
  /** The repositories it is asked for, where they are not all. */
  readonly pathPrefix?: string
  readonly lastAnswer?: string
  readonly lastFailure?: { readonly time: string; readonly message: string }
  readonly breaker: UpstreamState['breaker']
  /** It is not asked before then. */
  readonly suspended?: { readonly until: string; readonly reason: SuspensionReason | 'failures' }
  readonly rateLimit?: RateLimit
}

interface Sources {
  readonly upstreams: { readonly offline: boolean; allStates(): readonly UpstreamState[] }
  readonly counts: PullCounts
  readonly clock: Clock
  readonly platform: string
}

export class UpstreamReports {
  readonly #sources: Sources

  constructor(sources: Sources) {
    this.#sources = sources
  }

  make(): UpstreamReport {
    const { upstreams, counts, clock, platform } = this.#sources
    const countsByHost = new Map(counts.all.map((one) => [one.host, one]))
    const states = Map.groupBy(upstreams.allStates(), ({ host }) => String(host))
    const hosts = new Set([...states.keys(), ...countsByHost.keys()])
    hosts.delete(otherHosts)
    const reported = [...hosts].map((host): ReportedUpstream => {
      const ofHost = states.get(host) ?? []
      return {
        host,
        listed: ofHost.some(({ listed }) => listed),
        counts: describeCounts(countsByHost.get(host)),
        endpoints: ofHost.map(describeEndpoint),
      }
    })
    return {
      time: timeOf(clock.now()),
      platform,
      offline: upstreams.offline,
      upstreams: reported.toSorted(compare),
      other: describeCounts(countsByHost.get(otherHosts)),
    }
  }
}

/** The order of those that are listed is kept. */
function compare(one: ReportedUpstream, other: ReportedUpstream): number {
  if (one.listed !== other.listed) return one.listed ? -1 : 1
  if (one.listed || one.host === other.host) return 0
  return one.host < other.host ? -1 : 1
}

function describeCounts(counts: UpstreamCounts | undefined): ReportedCounts {
  const sum = (outcome: PullOutcome): number =>
    counts === undefined ? 0 : counts.pulls.manifest[outcome] + counts.pulls.blob[outcome]
  return {
    hits: sum('HIT'),
    misses: sum('MISS'),
    stale: sum('STALE'),
    coalesced: sum('COALESCED'),
    failures: sum('FAILED'),
    savedBytes: counts?.savedBytes ?? 0,
    fetchedBytes: counts?.fetchedBytes ?? 0,
    requests: counts?.requests ?? 0,
  }
}

function describeEndpoint(state: UpstreamState): ReportedEndpoint {
  const { host, pathPrefix, endpoint, lastAnswerAt, lastFailure, breaker, rateLimit } = state
  const suspended = suspensionOf(state)
  return {
    host: endpoint ?? host,
    ...(pathPrefix !== undefined && { pathPrefix }),
    ...(lastAnswerAt !== undefined && { lastAnswer: timeOf(lastAnswerAt) }),
    ...(lastFailure && {
      lastFailure: { time: timeOf(lastFailure.at), message: lastFailure.message },
    }),
    breaker,
    ...(suspended && { suspended }),
    ...(rateLimit && { rateLimit }),
  }
}

function suspensionOf(state: UpstreamState): ReportedEndpoint['suspended'] {
  const { suspendedUntil, suspendedFor, openUntil } = state
  if (suspendedUntil !== undefined && suspendedFor !== undefined) {
    return { until: timeOf(suspendedUntil), reason: suspendedFor }
  }
  if (openUntil !== undefined) return { until: timeOf(openUntil), reason: 'failures' }
  return undefined
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
