/** What is known about another registry, as one entry of the configuration reaches it. */
import type { RegistryHost } from '../oci/image-reference.ts'

export interface UpstreamState {
  readonly host: RegistryHost
  readonly pathPrefix?: string
  /** The host that is asked in place of `host`. */
  readonly endpoint?: RegistryHost
  /** Whether the configuration names the host. */
  readonly listed: boolean
  /** Times are milliseconds since 1970. */
  readonly lastAnswerAt?: number
  readonly lastFailure?: { readonly at: number; readonly message: string }
  readonly breaker: 'closed' | 'open' | 'half-open'
  /** While the breaker is open. */
  readonly openUntil?: number
  /** It said, or its refusals mean, that it wants no request before then. */
  readonly suspendedUntil?: number
  readonly suspendedFor?: SuspensionReason
  readonly rateLimit?: RateLimit
}

export type SuspensionReason = 'rate-limit' | 'refused-login'

/** What `ratelimit-limit` and `ratelimit-remaining` told last. */
export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  readonly windowSeconds: number
}
