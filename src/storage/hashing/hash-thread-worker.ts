/**
 * The thread of hash-thread.ts: hashes runs of bytes for many digests, each in the order in which it gets
 * them, and frees them. It imports nothing else, as what it does costs memory.
 */
import { createHash, type Hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

export type HashRequest =
  | { readonly id: number; readonly algorithm: string; readonly run: readonly Uint8Array[] }
  | { readonly id: number; readonly end: 'digest' | 'drop' }

/** Bytes that it is done with; or a digest, of which nothing is left here then. */
export type HashAnswer = number | { readonly id: number; readonly hex: string | undefined }

const hashes = new Map<number, Hash>()

function take(id: number, algorithm: string, run: readonly Uint8Array[]): number {
  let hash = hashes.get(id)
  if (hash === undefined) hashes.set(id, (hash = createHash(algorithm)))
  let length = 0
  for (const bytes of run) {
    hash.update(bytes)
    length += bytes.length
    if (bytes.buffer instanceof ArrayBuffer) bytes.buffer.transfer(0)
  }
  return length
}

function answer(request: HashRequest): HashAnswer | undefined {
  const { id } = request
  if ('run' in request) return take(id, request.algorithm, request.run)
  const hash = hashes.get(id)
  hashes.delete(id)
  return request.end === 'drop' ? undefined : { id, hex: hash?.digest('hex') }
}

parentPort?.on('message', (request: HashRequest) => {
  const answered = answer(request)
  if (answered !== undefined) parentPort?.postMessage(answered)
})
