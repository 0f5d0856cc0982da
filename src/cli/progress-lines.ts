/**
 * Progress bars on standard error for work on several things at a time: a line for each, and one for
 * all of them. They are drawn on a terminal only, below whatever is written through here meanwhile.
 */
import { limits } from '../config/limits.ts'
import { printable } from '../oci/upstream-error.ts'
import { formatBytes } from './format.ts'
import { barOf, quietMs, redrawMs } from './progress.ts'
import type { Terminal } from './terminal.ts'

/** One thing's line; it goes when it is disposed of. */
export interface ProgressLine extends Disposable {
  /** So many more bytes are to come. */
  expect(bytes: number): void
  /** So many more of them have come. */
  advance(bytes: number): void
}

interface Line {
  readonly name: string
  done: number
  total: number
}

export class ProgressLines implements Disposable {
  readonly #terminal: Terminal
  readonly #now: () => number
  readonly #startedAt: number
  /** What is counted, and how many there are of them. */
  readonly #things: { readonly noun: string; readonly total: number }
  readonly #lines = new Set<Line>()
  #done = 0
  #drawnAt = Number.NEGATIVE_INFINITY
  #drawnLines = 0

  constructor(
    terminal: Terminal,
    things: { readonly noun: string; readonly total: number },
    now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal
    this.#things = things
    this.#now = now
    this.#startedAt = now()
  }

  begin(name: string): ProgressLine {
    const line = { name, done: 0, total: 0 }
    this.#lines.add(line)
    this.#draw()
    return {
      expect: (bytes) => {
        line.total += bytes
        this.#draw()
      },
      advance: (bytes) => {
        line.done += bytes
        this.#draw()
      },
      [Symbol.dispose]: () => {
        if (this.#lines.delete(line)) this.#done += 1
        this.#draw()
      },
    }
  }

  /** Writes to standard output; the bars come back below it. */
  write(text: string): void {
    this.#clear()
    this.#terminal.write(text)
    this.#drawnAt = Number.NEGATIVE_INFINITY
    this.#draw()
  }

  [Symbol.dispose](): void {
    this.#clear()
  }

  #clear(): void {
    if (this.#drawnLines === 0) return
    const up = this.#drawnLines > 1 ? `\u001b[${this.#drawnLines - 1}A` : ''
    this.#terminal.writeError(`\r${up}\u001b[J`)
    this.#drawnLines = 0
  }

  #draw(): void {
    const columns = this.#terminal.errorColumns
    const now = this.#now()
    const isDue = now - this.#startedAt >= quietMs && now - this.#drawnAt >= redrawMs
    if (columns === undefined || !isDue) return
    this.#clear()
    this.#drawnAt = now
    const lines = this.#texts().map((text) => text.slice(0, Math.max(columns - 1, 0)))
    this.#drawnLines = lines.length
    this.#terminal.writeError(lines.join('\n'))
  }

  #texts(): string[] {
    const { noun, total } = this.#things
    const shown = [...this.#lines].slice(0, limits.progressLinesMax)
    const lines = shown.map(({ name, done, total }) => {
      const amount = total === 0 ? '' : `${formatBytes(done)} of ${formatBytes(total)}`
      return `${barOf(done, total)} ${amount.padEnd(20)} ${printable(name)}`
    })
    return [...lines, `${barOf(this.#done, total)} ${this.#done}/${total} ${noun}`]
  }
}
