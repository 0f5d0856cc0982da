// Whether another process has a thread that hashes now. Linux only, where threads have names.

import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** With one processor there is never such a thread. */
export const canShowThreads = process.platform === 'linux' && availableParallelism() > 1

export function hasHashThread(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).some(
    (thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8') === 'hash\n',
  )
}
