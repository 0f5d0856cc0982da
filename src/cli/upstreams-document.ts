/** The document of `/api/upstreams` (docs/pull-through.md), as far as it is shown. */

export interface UpstreamsDocument {
  readonly time: string
  readonly offline: boolean
  readonly upstreams: readonly ReportedUpstream[]
  readonly other: ReportedCounts
}

export interface ReportedUpstream {
  readonly host: string
  readonly counts: ReportedCounts
  readonly endpoints: readonly ReportedEndpoint[]
}

export interface ReportedCounts {
  readonly hits: number
  readonly misses: number
  readonly stale: number
  readonly failures: number
  readonly savedBytes: number
}

export interface ReportedEndpoint {
  readonly host: string
  readonly pathPrefix?: string
  readonly lastAnswer?: string
  readonly lastFailure?: { readonly time: string; readonly message: string }
  readonly breaker: 'closed' | 'open' | 'half-open'
  readonly suspended?: { readonly until: string; readonly reason: string }
  readonly rateLimit?: {
    readonly limit: number
    readonly remaining: number
    readonly windowSeconds: number
  }
}
