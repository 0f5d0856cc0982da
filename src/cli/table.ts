/**
 * An aligned table of any length: rows are held back a few at a time to find the columns' widths,
 * which never shrink, and then written, so that memory stays bounded and the first rows come soon.
 */
import { limits } from '../config/limits.ts'
import { printable } from '../oci/upstream-error.ts'

export interface TableOptions {
  readonly titles: readonly string[]
  /** Columns of numbers, which are aligned at their end. */
  readonly numeric?: readonly string[]
  readonly write: (text: string) => void
  readonly styleTitles: (text: string) => string
}

export class Table {
  readonly #options: TableOptions
  readonly #widths: number[]
  #rows: (readonly string[])[] = []
  #hasTitles = false

  constructor(options: TableOptions) {
    this.#options = options
    this.#widths = options.titles.map((title) => title.length)
  }

  /** Cells may hold what others wrote; it cannot leave its cell. */
  add(cells: readonly string[]): void {
    const row = cells.map(printable)
    for (const [column, cell] of row.entries()) {
      this.#widths[column] = Math.max(this.#widths[column] ?? 0, cell.length)
    }
    this.#rows.push(row)
    if (this.#rows.length >= limits.listRowsBufferedMax) this.flush()
  }

  flush(): void {
    if (this.#rows.length === 0) return
    const { titles, write, styleTitles } = this.#options
    const lines = this.#rows.map((row) => this.#line(row))
    if (!this.#hasTitles) lines.unshift(styleTitles(this.#line(titles)))
    this.#hasTitles = true
    this.#rows = []
    write(`${lines.join('\n')}\n`)
  }

  #line(cells: readonly string[]): string {
    const { titles, numeric = [] } = this.#options
    const padded = cells.map((cell, column) => {
      const width = this.#widths[column] ?? 0
      return numeric.includes(titles[column] ?? '') ? cell.padStart(width) : cell.padEnd(width)
    })
    return padded.join('  ').trimEnd()
  }
}
