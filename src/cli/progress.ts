/**
 * A progress bar on standard error for what takes longer than a moment. It is drawn on a terminal
 * only, and whoever writes something else clears it first; it comes back with the next step.
 */
import type { Terminal } from './terminal.ts'

export const quietMs = 1_000
export const redrawMs = 100
const barWidth = 24

export class Progress implements Disposable {
  readonly #terminal: Terminal
  #noun: string
  readonly #now: () => number
  readonly #startedAt: number
  #drawnAt = Number.NEGATIVE_INFINITY
  #isDrawn = false
  #done = 0
  #total: number | undefined = 0

  /** @param noun what is counted: `tags`. */
  constructor(terminal: Terminal, noun: string, now: () => number = () => performance.now()) {
    this.#terminal = terminal
    this.#noun = noun
    this.#now = now
    this.#startedAt = now()
  }

  /** So many more are to be done. */
  expect(count: number): void {
    this.#total = (this.#total ?? 0) + count
    this.#draw()
  }

  /** One more is done. */
  step(): void {
    this.#done += 1
    this.#draw()
  }

  /** How far another one is who does the work. */
  show({ step, done, total }: { step: string; done: number; total?: number }): void {
    this.#noun = step
    this.#done = done
    this.#total = total
    this.#draw()
  }

  clear(): void {
    if (this.#isDrawn) this.#terminal.writeError('\r\u001b[K')
    this.#isDrawn = false
  }

  [Symbol.dispose](): void {
    this.clear()
  }

  #draw(): void {
    const columns = this.#terminal.errorColumns
    const now = this.#now()
    const isDue = now - this.#startedAt >= quietMs && now - this.#drawnAt >= redrawMs
    if (columns === undefined || !isDue) return
    this.#drawnAt = now
    this.#isDrawn = true
    this.#terminal.writeError(`\r\u001b[K${this.#text().slice(0, Math.max(columns - 1, 0))}`)
  }

  #text(): string {
    if (this.#total === undefined) return `${this.#done} ${this.#noun}`
    return `${barOf(this.#done, this.#total)} ${this.#done}/${this.#total} ${this.#noun}`
  }
}

export function barOf(done: number, total: number): string {
  const share = total === 0 ? 0 : Math.min(done / total, 1)
  return `[${'='.repeat(Math.round(share * barWidth)).padEnd(barWidth)}]`
}
