/** Time as the upstream layers use it, in one object that a test can put its own in place of. */
import { setTimeout } from 'node:timers/promises'
import type { Clock } from '../registry/ports/clock.ts'

export interface Timer extends Clock {
  /** @throws the signal's reason when it is aborted first. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>
}

export const systemTimer: Timer = {
  now: () => Date.now(),
  async wait(milliseconds, signal) {
    try {
      await setTimeout(milliseconds, undefined, { signal })
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  },
}
