// A clock that stands still until a test moves it.

import type { Clock } from '../../src/registry/ports/clock.ts'

export class FakeClock implements Clock {
  #now: number

  constructor(now = Date.parse('2024-01-01T00:00:00Z')) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds
  }
}
