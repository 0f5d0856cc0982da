/** A server that has nothing to do keeps no garbage (docs/decisions/0018-memory.md). */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { limits } from '../config/limits.ts'
import { IdleMemory } from '../lib/idle-memory.ts'

export function watchIdleMemory(): IdleMemory {
  return new IdleMemory(findCollector(), {
    intervalMs: limits.idleLookSeconds * 1000,
    utilizationMax: limits.idleUtilizationMax,
    cpuMsMin: limits.idleCollectionCpuMsMin,
  })
}

/** A context that is made after the flag was set has the function, however the program was started. */
function findCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as NodeJS.GCFunction
  // The other kinds keep the pages that they have emptied, and code that ran once.
  return () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
