/**
 * The lines of one turn of the event loop as one write: a busy registry has dozens of them, and a
 * write for each took a ninth of a manifest request's processor time.
 */
import type { DestinationStream } from 'pino'
import { endOfTurn } from '../lib/end-of-turn.ts'

interface Output {
  write(text: string): unknown
  /** Waits until the system has all that was written. */
  flushSync(): void
}

export class LineBatch implements DestinationStream {
  readonly #output: Output
  #lines: string[] = []

  constructor(output: Output) {
    this.#output = output
  }

  write(line: string): void {
    if (this.#lines.push(line) === 1) void endOfTurn().then(() => this.#pass())
  }

  /** For the last words of a process; pino calls it after a fatal line, too. */
  flushSync(): void {
    this.#pass()
    this.#output.flushSync()
  }

  #pass(): void {
    const lines = this.#lines
    this.#lines = []
    if (lines.length > 0) this.#output.write(lines.join(''))
  }
}
