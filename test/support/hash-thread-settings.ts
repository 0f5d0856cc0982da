// Threads that hash, for tests: bodies of a few kilobytes are large, and nothing happens by itself.

import type { ThreadHashingSettings } from '../../src/storage/hashing/thread-hashing.ts'

export const threadSettings: ThreadHashingSettings = {
  largeBytes: 5_000,
  largeRunBytes: 500,
  backlogBytesMax: 20_000,
  heapMiBMax: 64,
  silenceSecondsMax: 3_600,
  idleSecondsMax: 3_600,
  retrySeconds: 3_600,
}

/** Ends in the middle of what it gets. */
export const endingThread = new URL('ending-hash-thread.ts', import.meta.url)

/** Cannot be started. */
export const missingThread = new URL('no-such-thread.ts', import.meta.url)

/** Takes all that it gets, and never says a word. */
export const silentThread = new URL('silent-hash-thread.ts', import.meta.url)
