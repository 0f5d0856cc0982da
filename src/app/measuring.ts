/** The metrics of a running registry, and where their numbers come from. */
import { limits } from '../config/limits.ts'
import { version } from '../config/version.ts'
import type { Collector } from '../registry/collector.ts'
import type { Eviction } from '../registry/eviction.ts'
import type { StorageRoom } from '../registry/storage-room.ts'
import { Metrics } from '../telemetry/metrics.ts'
import type { Foundation } from './foundation.ts'

interface Measured {
  readonly eviction: Eviction
  readonly collector: Collector
  readonly room: StorageRoom
}

export function makeMetrics(
  { reloads, stores, upstreams, counts, authenticator }: Foundation,
  { eviction, collector, room }: Measured,
): Metrics {
  const { metadata, damage } = stores
  const metrics = new Metrics({ version, lastReload: () => reloads.lastReload })
  metrics.showContent({
    countContent: () => metadata.countContent(),
    countHoldsSeconds: limits.contentCountHoldsSeconds,
    measureCache: () => metadata.measureCache(),
    cacheMaxBytes: () => eviction.maxBytes,
    evicted: () => eviction.totals,
    damaged: () => damage.counts,
    isDatabaseDamaged: () => damage.database !== undefined,
  })
  metrics.showStorage({
    freeBytes: () => stores.blobs.freeBytes(),
    freeHoldsSeconds: limits.storageFreeHoldsSeconds,
    refusedPushes: () => room.refused,
  })
  metrics.showLogins({ refusedLogins: () => authenticator.refusedLogins })
  metrics.showCollection({ collected: () => collector.totals })
  metrics.showUpstreams({
    upstreamStates: () =>
      upstreams.states().map((state) => ({ ...state, host: counts.labelOf(state.host) })),
    upstreamCounts: () => counts.all,
  })
  return metrics
}
