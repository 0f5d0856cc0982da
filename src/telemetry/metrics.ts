/** The metrics of `/metrics` (docs/operations.md lists them). No label holds what a client chose. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'

/** What the registry holds, counted now and then; the names are those of the metrics. */
export interface ContentCounts {
  readonly repositories: number
  readonly manifests: number
  readonly tags: number
  readonly blobs: number
  readonly bytes: number
  readonly uploads: number
}

interface Source {
  readonly version: string
  readonly countContent: () => Promise<ContentCounts>
  /** Counting reads whole indexes, so an answer holds this long. */
  readonly countHoldsSeconds: number
  readonly lastReload: () => LastReload
  /** Clients choose which hosts are asked, so these are labels already, of a bounded number. */
  readonly upstreamStates: () => readonly UpstreamState[]
  readonly upstreamCounts: () => readonly UpstreamCounts[]
  /** Bytes of what is cached; an answer holds as long as a count of the content. */
  readonly measureCache: () => Promise<number>
  readonly cacheMaxBytes: () => number | undefined
  /** Since the start. */
  readonly evicted: () => { readonly manifests: number; readonly bytes: number }
}

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

/** The last attempt to load the configuration, the one at start included. */
interface LastReload {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly ok: boolean
}

interface ReviewLabels {
  readonly decision: string
  readonly operation: string
  readonly kind: string
}

export class Metrics {
  readonly #registry = new Registry()
  readonly requests: Counter<'route' | 'method' | 'status'>
  readonly seconds: Histogram<'route' | 'method'>
  readonly received: Counter<'route'>
  readonly sent: Counter<'route'>
  readonly inFlight: Gauge
  readonly #reviews: Counter<'decision' | 'operation' | 'kind'>
  readonly #reviewSeconds: Histogram
  readonly #pullsRefused: Counter<'mode'>

  constructor(source: Source) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.requests = new Counter({
      name: 'trow_http_requests_total',
      help: 'Requests answered, by route, method and status; 499 is a client that went away',
      labelNames: ['route', 'method', 'status'],
      registers,
    })
    this.seconds = new Histogram({
      name: 'trow_http_request_duration_seconds',
      help: 'Time from the first byte of a request to the last byte of its answer',
      labelNames: ['route', 'method'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
      registers,
    })
    this.received = new Counter({
      name: 'trow_http_received_bytes_total',
      help: 'Bytes of request bodies',
      labelNames: ['route'],
      registers,
    })
    this.sent = new Counter({
      name: 'trow_http_sent_bytes_total',
      help: 'Bytes of response bodies',
      labelNames: ['route'],
      registers,
    })
    this.inFlight = new Gauge({
      name: 'trow_http_requests_in_flight',
      help: 'Requests that are being answered',
      registers,
    })
    new Gauge({
      name: 'trow_build_info',
      help: 'Always 1; the label says which version runs',
      labelNames: ['version'],
      registers,
    }).set({ version: source.version }, 1)
    this.#reviews = new Counter({
      name: 'trow_admission_reviews_total',
      help: 'Admission reviews answered, by decision, operation and kind of object',
      labelNames: ['decision', 'operation', 'kind'],
      registers,
    })
    this.#reviewSeconds = new Histogram({
      name: 'trow_admission_seconds',
      help: 'Time to read and decide on an admission review that has arrived',
      buckets: [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5],
      registers,
    })
    this.#pullsRefused = new Counter({
      name: 'trow_admission_pulls_refused_total',
      help: 'Requests for manifests of images that may not run; only with mode enforce refused',
      labelNames: ['mode'],
      registers,
    })
    registerContentGauges(registers, source)
    registerReloadGauges(registers, source)
    registerUpstreamGauges(registers, source)
    registerPullCounters(registers, source)
    registerCacheMetrics(registers, source)
  }

  /** Labels have to be words of ours; a caller may have put anything into its review. */
  countReview(labels: ReviewLabels, seconds: number): void {
    this.#reviews.inc({ ...labels })
    this.#reviewSeconds.observe(seconds)
  }

  countPullRefused(mode: string): void {
    this.#pullsRefused.inc({ mode })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** In the Prometheus text format. */
  render(): Promise<string> {
    return this.#registry.metrics()
  }
}

const contentHelp: Record<keyof ContentCounts, string> = {
  repositories: 'Repositories',
  manifests: 'Manifests, counted in each repository that has them',
  tags: 'Tags',
  blobs: 'Blobs and manifests, each counted once',
  bytes: 'Bytes of blobs and manifests, each counted once',
  uploads: 'Open upload sessions',
}

function registerContentGauges(registers: Registry[], source: Source): void {
  const counts = held(source.countContent, source.countHoldsSeconds)
  for (const [key, help] of Object.entries(contentHelp)) {
    const gauge = new Gauge({
      name: `trow_content_${key}`,
      help,
      registers,
      // A database that cannot be read must not take the other metrics with it.
      collect: async () => {
        const known = await counts().catch(() => undefined)
        if (known !== undefined) gauge.set(known[key as keyof ContentCounts])
      },
    })
  }
}

/** Asks again only when so much time has passed since it last asked. */
function held<T>(ask: () => Promise<T>, holdsSeconds: number): () => Promise<T> {
  let last: { readonly at: number; readonly answer: Promise<T> } | undefined
  return () => {
    const now = performance.now()
    if (last === undefined || now - last.at >= holdsSeconds * 1000) {
      last = { at: now, answer: ask() }
    }
    return last.answer
  }
}

function registerCacheMetrics(registers: Registry[], source: Source): void {
  const measure = held(source.measureCache, source.countHoldsSeconds)
  const bytes: Gauge = new Gauge({
    name: 'trow_cache_bytes',
    help: 'Bytes of content of other registries that is cached, each counted once',
    registers,
    collect: async () => {
      const measured = await measure().catch(() => undefined)
      if (measured !== undefined) bytes.set(measured)
    },
  })
  const max: Gauge = new Gauge({
    name: 'trow_cache_max_bytes',
    help: 'What registry_proxies.max_size allows it to be; 0 if it is not set',
    registers,
    collect: () => max.set(source.cacheMaxBytes() ?? 0),
  })
  const totals = { manifests: 0, bytes: 0 }
  const count = (key: keyof typeof totals, name: string, help: string): void => {
    const counter: Counter = new Counter({
      name,
      help,
      registers,
      collect: () => {
        const total = source.evicted()[key]
        counter.inc(total - totals[key])
        totals[key] = total
      },
    })
  }
  count('bytes', 'trow_cache_evicted_bytes_total', 'Bytes that eviction removed from the disk')
  count('manifests', 'trow_cache_evictions_total', 'Manifests that were evicted')
}

/** A broken configuration file is easily overlooked: the one before it stays in force. */
function registerReloadGauges(registers: Registry[], { lastReload }: Source): void {
  const success: Gauge = new Gauge({
    name: 'trow_config_last_reload_successful',
    help: 'Whether the last load of the configuration succeeded; if not, the one before is in force',
    registers,
    collect: () => success.set(lastReload().ok ? 1 : 0),
  })
  const at: Gauge = new Gauge({
    name: 'trow_config_last_reload_timestamp_seconds',
    help: 'When the configuration was last loaded, successfully or not',
    registers,
    collect: () => at.set(lastReload().at / 1000),
  })
}

function registerUpstreamGauges(registers: Registry[], { upstreamStates }: Source): void {
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
function registerPullCounters(registers: Registry[], { upstreamCounts }: Source): void {
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
