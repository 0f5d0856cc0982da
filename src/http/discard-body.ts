/**
 * What to do with a request body that no handler wanted, after an early error for example. A little
 * is read so that the client sees the answer instead of a reset; a lot is not.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { limits } from '../config/limits.ts'

/** To be called before the answer is sent: a connection that cannot be used again says so. */
export function announceClose(
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
): void {
  if (request.complete || response.headersSent) return
  const length = request.headers['content-length']
  const small = length !== undefined && Number(length) <= limits.discardedBodyBytesMax
  if (!hasBody(request) || (small && !awaitsContinue)) return
  response.setHeader('Connection', 'close')
}

/** To be called after the answer was sent. */
export function discardBody(request: IncomingMessage): void {
  if (request.complete || request.destroyed || !hasBody(request)) return
  const { socket } = request
  const timer = setTimeout(() => socket.destroy(), limits.discardSecondsMax * 1000)
  timer.unref()
  let discarded = 0
  request.on('data', (chunk: Uint8Array) => {
    discarded += chunk.length
    if (discarded > limits.discardedBodyBytesMax) socket.destroy()
  })
  request.once('close', () => clearTimeout(timer))
  request.once('end', () => clearTimeout(timer))
  request.once('error', () => clearTimeout(timer))
  request.resume()
}

function hasBody(request: IncomingMessage): boolean {
  const { headers } = request
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
