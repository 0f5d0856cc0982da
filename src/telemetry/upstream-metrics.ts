/** Metrics of other registries, and of what was pulled from them. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client'

/** What is known of another registry, as far as it is shown here. */
interface UpstreamState {
  readonly host: string
  readonly breaker: 'closed' | 'open' | 'half-open'
  readonly suspendedUntil?: number
  readonly rateLimit?: { readonly remaining: number }
}

/** What came of pulls from another registry, by kind and by what the cache made of them. */
interface UpstreamCounts {
  readonly host: string
  readonly pulls: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly requests: number
  readonly fetchedBytes: number
  readonly savedBytes: number
}

export interface UpstreamSource {
  /** Clients choose which hosts are asked, so these are labels already, of a bounded number. */
  readonly upstreamStates: () => readonly UpstreamState[]
  readonly upstreamCounts: () => readonly UpstreamCounts[]
}

export function registerUpstreamGauges(
  registers: Registry[],
  { upstreamStates }: UpstreamSource,
): void {
  const suspended: Gauge<'upstream'> = new Gauge({
    name: 'trow_upstream_suspended',
    help: 'Whether an upstream is not being asked: it failed too often, or said when to come back',
    labelNames: ['upstream'],
    registers,
    collect: () => {
      suspended.reset()
      for (const [upstream, states] of Map.groupBy(upstreamStates(), ({ host }) => host)) {
        suspended.set({ upstream }, states.some(isSuspended) ? 1 : 0)
      }
    },
  })
  const remaining: Gauge<'upstream'> = new Gauge({
    name: 'trow_upstream_rate_limit_remaining',
    help: 'Pulls that an upstream said are left in its current window',
    labelNames: ['upstream'],
    registers,
    collect: () => {
      remaining.reset()
      for (const [upstream, states] of Map.groupBy(upstreamStates(), ({ host }) => host)) {
        const known = states.flatMap(({ rateLimit }) => (rateLimit ? [rateLimit.remaining] : []))
        if (known.length > 0) remaining.set({ upstream }, Math.min(...known))
      }
    },
  })
}

function isSuspended({ breaker, suspendedUntil = 0 }: UpstreamState): boolean {
  return breaker === 'open' || suspendedUntil > Date.now()
}

/** They are counted elsewhere; here they are only shown. */
export function registerPullCounters(
  registers: Registry[],
  { upstreamCounts }: UpstreamSource,
): void {
  const pulls: Counter<'upstream' | 'kind' | 'cache'> = new Counter({
    name: 'trow_pull_through_requests_total',
    help: 'Manifests, blobs and lists of other registries asked for, by what the cache made of it',
    labelNames: ['upstream', 'kind', 'cache'],
    registers,
    collect: () => {
      pulls.reset()
      for (const { host: upstream, pulls: byKind } of upstreamCounts()) {
        for (const [kind, outcomes] of Object.entries(byKind)) {
          for (const [outcome, count] of Object.entries(outcomes)) {
            pulls.inc({ upstream, kind, cache: outcome.toLowerCase() }, count)
          }
        }
      }
    },
  })
  for (const [key, { name, help }] of Object.entries(totals)) {
    const counter: Counter<'upstream'> = new Counter({
      name,
      help,
      labelNames: ['upstream'],
      registers,
      collect: () => {
        counter.reset()
        for (const counts of upstreamCounts()) {
          counter.inc({ upstream: counts.host }, counts[key as keyof typeof totals])
        }
      },
    })
  }
}

const totals = {
  requests: {
    name: 'trow_upstream_requests_total',
    help: 'Requests sent to an upstream itself',
  },
  fetchedBytes: {
    name: 'trow_upstream_fetched_bytes_total',
    help: 'Bytes of manifests and blobs that came from an upstream',
  },
  savedBytes: {
    name: 'trow_pull_through_saved_bytes_total',
    help: 'Bytes of manifests and blobs sent to clients that were not fetched for them',
  },
} as const
