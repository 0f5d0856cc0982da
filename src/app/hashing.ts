/** Where what arrives is hashed: beside the event loop if there is a second processor for that. */
import { availableParallelism } from 'node:os'
import { limits } from '../config/limits.ts'
import { loopHashing } from '../registry/loop-hashing.ts'
import type { Hashing } from '../registry/ports/hashing.ts'
import { ThreadHashing } from '../storage/hashing/thread-hashing.ts'
import type { Foundation } from './foundation.ts'

export function makeHashing({ log, resources }: Foundation): Hashing {
  if (availableParallelism() === 1) return loopHashing
  const hashing = new ThreadHashing(log, {
    largeBytes: limits.hashThreadBodyBytesMin,
    largeRunBytes: limits.hashThreadRunBytesMin,
    backlogBytesMax: limits.hashThreadBacklogBytesMax,
    heapMiBMax: limits.hashThreadHeapMiBMax,
    silenceSecondsMax: limits.hashThreadSilenceSecondsMax,
    idleSecondsMax: limits.hashThreadIdleSecondsMax,
    retrySeconds: limits.hashThreadRetrySeconds,
  })
  return resources.use(hashing)
}
