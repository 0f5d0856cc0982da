/**
 * The thread of wal-checkpoints.ts: moves what it can of the log into the database at each message, by a
 * connection of its own, and answers with how far that came. Those who write and read go on meanwhile
 * (SQLITE_CHECKPOINT_PASSIVE).
 */
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'

/** Frames of the log; or why it cannot be moved now. */
export type CheckpointResult = LogPages | { readonly failure: string }

export interface LogPages {
  /** Pages in the log. */
  readonly log: number
  /** Of these, the ones that are in the database, durably. */
  readonly checkpointed: number
}

function checkpoint(): CheckpointResult {
  try {
    // A file that is missing must not be made by that.
    const file = pathToFileURL(String(workerData))
    file.searchParams.set('mode', 'rw')
    using database = new DatabaseSync(file)
    database.exec('pragma synchronous = normal')
    const row = database.prepare('pragma wal_checkpoint(passive)').get()
    return { log: Number(row?.['log']), checkpointed: Number(row?.['checkpointed']) }
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) }
  }
}

parentPort?.on('message', () => parentPort?.postMessage(checkpoint()))
