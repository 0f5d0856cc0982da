/**
 * Whether a database file is what SQLite made it: its pages, that indexes have what tables have, and that
 * rows refer to rows that are there. All of it is read, for seconds where there is much of it, so another
 * thread does that; nobody who reads or writes waits for it.
 */
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { OciError } from '../oci/errors.ts'
import type { CheckResult } from './sqlite-check-worker.ts'

/** Beside this file, in the sources and in what is published. */
const worker = new URL(`./sqlite-check-worker${extname(import.meta.url)}`, import.meta.url)

/**
 * @returns what is wrong with the file.
 * @throws OciError UNAVAILABLE when it cannot be looked at: for want of permission, for example.
 */
export async function findDatabaseProblem(
  path: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const thread = new Worker(worker, { workerData: path })
  try {
    const [result] = (await once(thread, 'message', { ...(signal && { signal }) })) as [CheckResult]
    if ('problem' in result) return result.problem
    throw new OciError('UNAVAILABLE', {
      message: `the metadata database ${path} cannot be checked: ${result.failure}`,
    })
  } finally {
    // It ends by itself, or after the step that it is at: nobody has to wait for that.
    void thread.terminate()
  }
}
