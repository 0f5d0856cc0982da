// Waiting for what no event tells of: asks again until it is so, and fails at a deadline.

import { setTimeout as delay } from 'node:timers/promises'

const deadlineMs = 30_000
const intervalMs = 20

/** @returns the first answer of `ask` that is neither undefined nor false. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`)
    await delay(intervalMs)
  }
}
