/**
 * What to do with a request body that no handler wanted, after an early error for example. Closing a
 * connection over unread bytes resets it, and the reset may overtake the answer: so a short body is
 * read and the connection goes on; a long one is read for a while behind its answer, then the
 * connection ends.
 */
import type { IncomingMessage } from 'node:http'
import { limits } from '../config/limits.ts'

/** `withheld`: the client waits for a `100 Continue` that it does not get. */
export type UnreadBody = 'none' | 'short' | 'long' | 'withheld'

export function unreadBody(request: IncomingMessage, isWithheld: boolean): UnreadBody {
  if (request.complete || !hasBody(request)) return 'none'
  if (isWithheld) return 'withheld'
  const { headers } = request
  const isShort = Number(headers['content-length'] ?? Infinity) <= limits.discardedBodyBytesMax
  return isShort ? 'short' : 'long'
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** Reads and forgets the rest of the body; resolves when it has ended, or is too long or too slow. */
export async function discardBody(request: IncomingMessage): Promise<void> {
  if (request.complete || request.destroyed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, limits.discardSecondsMax * 1000)
  let discarded = 0
  const count = (chunk: Uint8Array): void => {
    discarded += chunk.length
    if (discarded > limits.lingeringBodyBytesMax) resolve()
  }
  request.on('data', count)
  for (const event of ['end', 'error', 'close']) request.once(event, resolve)
  request.resume()
  await promise
  clearTimeout(timer)
}
