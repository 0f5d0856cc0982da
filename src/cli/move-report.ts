/** What `trow import` and its like say: a line for each image when it is done, and what came of all. */
import type { MoveResult } from '../moving/image-mover.ts'
import { printable } from '../oci/upstream-error.ts'
import { formatBytes, formatCount } from './format.ts'

export interface MoveWords {
  /** What was done to an image that was moved: `imported`. */
  readonly moved: string
  readonly dryRun: boolean
}

export class MoveReport {
  readonly #format: string
  readonly #words: MoveWords
  readonly #counts: Record<MoveResult['status'], number> = {
    moved: 0,
    present: 0,
    skipped: 0,
    failed: 0,
  }
  #movedSize = 0

  constructor(format: string, words: MoveWords) {
    this.#format = format
    this.#words = words
  }

  /** How many images are not at the destination. */
  get missing(): number {
    return this.#counts.skipped + this.#counts.failed
  }

  get total(): number {
    return this.missing + this.#counts.moved + this.#counts.present
  }

  /** @returns its line; none for a part of an image that has a line of its own. */
  add(result: MoveResult): string {
    const isPart = result.status === 'present' && result.image.includes('@')
    if (isPart) return ''
    this.#counts[result.status] += 1
    this.#movedSize += result.movedSize ?? 0
    const status = result.status === 'moved' ? this.#words.moved : result.status
    if (this.#format === 'json') return `${JSON.stringify({ ...result, status })}\n`
    const { image, movedSize, message } = result
    const facts = [
      ...(result.status === 'moved' ? [formatBytes(movedSize ?? 0)] : []),
      ...(message === undefined ? [] : [message]),
    ]
    return printable([status.padEnd(8), image, ...facts].join('  ')) + '\n'
  }

  /** For people, and of a program's lines the last. */
  get summary(): string {
    const { moved, present, skipped, failed } = this.#counts
    const { moved: word, dryRun } = this.#words
    if (this.#format === 'json') {
      const report = { [word]: moved, present, skipped, failed, movedSize: this.#movedSize, dryRun }
      return `${JSON.stringify({ report })}\n`
    }
    const parts = [
      `${moved} ${dryRun ? 'would be ' : ''}${word}`,
      `${present} already there`,
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
    ]
    const bytes = `${formatBytes(this.#movedSize)} ${dryRun ? 'to move' : 'moved'}`
    return `${formatCount(this.total, 'image')}: ${parts.join(', ')}; ${bytes}\n`
  }
}
