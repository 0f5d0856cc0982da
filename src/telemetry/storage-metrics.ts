/** Metrics of the disk, and of pushes that it has no room for. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client'
import { held } from './held.ts'

export interface StorageSource {
  readonly freeBytes: () => Promise<number>
  readonly freeHoldsSeconds: number
  /** Since the start. */
  readonly refusedPushes: () => number
}

export function registerStorageMetrics(registers: Registry[], source: StorageSource): void {
  const freeBytes = held(source.freeBytes, source.freeHoldsSeconds)
  const free: Gauge = new Gauge({
    name: 'trow_storage_free_bytes',
    help: 'Bytes that can still be written where blobs are',
    registers,
    collect: async () => {
      const bytes = await freeBytes().catch(() => undefined)
      if (bytes !== undefined) free.set(bytes)
    },
  })
  const refused: Counter = new Counter({
    name: 'trow_storage_refused_pushes_total',
    help: 'Requests of pushes that storage.max_size or storage.min_free had no room for',
    registers,
    collect: () => {
      refused.reset()
      refused.inc(source.refusedPushes())
    },
  })
}
