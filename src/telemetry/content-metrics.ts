/** Metrics of what the registry holds. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client'
import { held } from './held.ts'

/** What the registry holds, counted now and then; the names are those of the metrics. */
export interface ContentCounts {
  readonly repositories: number
  readonly manifests: number
  readonly tags: number
  readonly blobs: number
  readonly bytes: number
  readonly uploads: number
}

export interface ContentSource {
  readonly countContent: () => Promise<ContentCounts>
  /** Counting reads whole indexes, so an answer holds this long. */
  readonly countHoldsSeconds: number
  /** Content that was found to be damaged since the start, by who found it. */
  readonly damaged: () => Readonly<Record<string, number>>
  /** By the last scrub. */
  readonly isDatabaseDamaged: () => boolean
}

const contentHelp: Record<keyof ContentCounts, string> = {
  repositories: 'Repositories',
  manifests: 'Manifests, counted in each repository that has them',
  tags: 'Tags',
  blobs: 'Blobs and manifests, each counted once',
  bytes: 'Bytes of blobs and manifests, each counted once',
  uploads: 'Open upload sessions',
}

export function registerContentGauges(registers: Registry[], source: ContentSource): void {
  const damaged: Counter<'found'> = new Counter({
    name: 'trow_content_damaged_total',
    help: 'Content found damaged or missing, by what found it: serving or scrub',
    labelNames: ['found'],
    registers,
    collect: () => {
      damaged.reset()
      for (const [found, count] of Object.entries(source.damaged())) damaged.inc({ found }, count)
    },
  })
  const database: Gauge = new Gauge({
    name: 'trow_database_damaged',
    help: '1 if the last scrub found the metadata database damaged',
    registers,
    collect: () => database.set(source.isDatabaseDamaged() ? 1 : 0),
  })
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
