// Time that passes only when somebody waits for it, at once; it remembers all waits.

import type { Timer } from '../../src/upstream/timer.ts'

export class FakeTimer implements Timer {
  /** Milliseconds of each wait. */
  readonly waits: number[] = []
  #now = Date.parse('2026-01-01T00:00:00Z')

  now(): number {
    return this.#now
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds
  }

  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.waits.push(milliseconds)
    this.advance(milliseconds)
  }
}
