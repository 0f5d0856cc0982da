/** Metrics of the content of other registries that is kept. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client'
import { held } from './held.ts'

export interface CacheSource {
  /** Bytes of what is cached; an answer holds as long as a count of the content. */
  readonly measureCache: () => Promise<number>
  readonly countHoldsSeconds: number
  readonly cacheMaxBytes: () => number | undefined
  /** Since the start. */
  readonly evicted: () => { readonly manifests: number; readonly bytes: number }
}

export function registerCacheMetrics(registers: Registry[], source: CacheSource): void {
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
    help: 'Bytes of the cache that registry_proxies.max_size allows; 0 if it is not set',
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
  count(
    'manifests',
    'trow_cache_evictions_total',
    'Manifests of other registries that were evicted',
  )
}
