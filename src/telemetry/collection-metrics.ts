/** Metrics of garbage collection. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client'

interface CollectionTotals {
  readonly passes: number
  readonly failures: number
  readonly blobs: number
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly endedAt?: number
  readonly seconds?: number
}

export interface CollectionSource {
  /** Since the start. */
  readonly collected: () => CollectionTotals
}

const counters = {
  passes: {
    name: 'trow_gc_passes_total',
    help: 'Passes of garbage collection that were completed',
  },
  failures: {
    name: 'trow_gc_failures_total',
    help: 'Passes of garbage collection that a failure ended',
  },
  blobs: {
    name: 'trow_gc_removed_blobs_total',
    help: 'Blobs and manifests that garbage collection removed',
  },
  bytes: { name: 'trow_gc_removed_bytes_total', help: 'Bytes that garbage collection removed' },
} as const

export function registerCollectionMetrics(
  registers: Registry[],
  { collected }: CollectionSource,
): void {
  for (const [key, { name, help }] of Object.entries(counters)) {
    const counter: Counter = new Counter({
      name,
      help,
      registers,
      collect: () => {
        counter.reset()
        counter.inc(collected()[key as keyof typeof counters])
      },
    })
  }
  const endedAt: Gauge = new Gauge({
    name: 'trow_gc_last_pass_timestamp_seconds',
    help: 'When the last pass of garbage collection ended, completed or not; 0 before the first one',
    registers,
    collect: () => endedAt.set((collected().endedAt ?? 0) / 1000),
  })
  const seconds: Gauge = new Gauge({
    name: 'trow_gc_last_pass_duration_seconds',
    help: 'How long the last pass of garbage collection took',
    registers,
    collect: () => seconds.set(collected().seconds ?? 0),
  })
}
