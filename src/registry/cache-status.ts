/** How an answer of the pull-through cache came about. */

export type CacheStatus = 'HIT' | 'MISS' | 'STALE' | 'COALESCED'

export interface Pulled {
  readonly status: CacheStatus
  /** What the client should know, of a stale copy. */
  readonly warning?: string
}
