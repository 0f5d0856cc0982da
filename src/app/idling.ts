/** A server that has started keeps no garbage of that (docs/decisions/0026-idle-memory.md). */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { limits } from '../config/limits.ts'
import { collectWhenIdle } from '../lib/collect-when-idle.ts'

export function collectAfterStart(): Disposable {
  return collectWhenIdle(findCollector(), {
    intervalMs: limits.idleLookSeconds * 1000,
    utilizationMax: limits.idleUtilizationMax,
  })
}

/** A context that is made after the flag was set has the function, however the program was started. */
function findCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as NodeJS.GCFunction
  // The other kinds keep the pages that they have emptied, and code that ran once.
  return () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
