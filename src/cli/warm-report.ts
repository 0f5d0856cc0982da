/** What `trow warm` says: a line for each image when it is done with it, and what came of all. */
import { printable } from '../oci/upstream-error.ts'
import { formatBytes, formatCount } from './format.ts'
import type { WarmResult } from './warm-image.ts'

export type WarmFormat = 'text' | 'json'

type Counts = Record<WarmResult['status'], number>

export class WarmReport {
  readonly #format: WarmFormat
  readonly #counts: Counts = { warmed: 0, present: 0, skipped: 0, failed: 0 }
  #fetchedSize = 0

  constructor(format: WarmFormat) {
    this.#format = format
  }

  get failed(): number {
    return this.#counts.failed
  }

  /** @returns its line. */
  add(result: WarmResult): string {
    this.#counts[result.status] += 1
    this.#fetchedSize += result.fetchedSize ?? 0
    return this.#format === 'json' ? `${JSON.stringify(result)}\n` : `${formatResult(result)}\n`
  }

  /** For people; a program counts by itself. */
  get summary(): string {
    if (this.#format === 'json') return ''
    const { warmed, present, skipped, failed } = this.#counts
    const parts = [
      `${warmed} warmed`,
      `${present} already there`,
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
    ]
    const all = formatCount(warmed + present + skipped + failed, 'image')
    return `${all}: ${parts.join(', ')}; ${formatBytes(this.#fetchedSize)} fetched\n`
  }
}

function formatResult({
  image,
  status,
  platforms,
  size,
  fetchedSize,
  message,
}: WarmResult): string {
  const isThere = status === 'warmed' || status === 'present'
  const fetched = status === 'warmed' ? `, ${formatBytes(fetchedSize ?? 0)} fetched` : ''
  const facts = [
    ...(isThere && platforms !== undefined ? [platforms.join(', ')] : []),
    ...(isThere ? [`${formatBytes(size ?? 0)}${fetched}`] : []),
    ...(message === undefined ? [] : [message]),
  ]
  return printable([status.padEnd(7), image, ...facts].join('  '))
}
