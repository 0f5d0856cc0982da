/**
 * The answer to what never became a request: not HTTP, or too large, or too slow. It looks and is
 * logged like any other; but an answer that has begun on the connection is cut, never added to.
 */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits } from '../config/limits.ts'
import type { Log } from '../registry/request-context.ts'
import { errorBody } from './error-response.ts'

export interface Refused {
  /** Of node's parser, or of the socket. */
  readonly error: NodeJS.ErrnoException
  readonly socket: Duplex
  /** Answers on the same connection that are not finished. */
  readonly unfinished: readonly ServerResponse[]
}

export function refuse(log: Log, { error, socket, unfinished }: Refused): void {
  const isAnswering = unfinished.length > 1 || unfinished.some((response) => response.headersSent)
  if (!socket.writable || !isOfHttp(error) || isAnswering) {
    socket.destroy()
    return
  }
  const { status, reason, message } = explain(error.code)
  const id = randomUUID()
  const body = errorBody('UNKNOWN', message)
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nX-Request-Id: ${id}\r\n` +
      'X-Content-Type-Options: nosniff\r\nDocker-Distribution-API-Version: registry/2.0\r\n' +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  const client = socket instanceof Socket ? (socket.remoteAddress ?? 'unknown') : 'unknown'
  log.info({ request: id, status, client, code: error.code }, `refused ${status}: ${message}`)
}

/**
 * Of the rest nobody is left to be told, as the connection ended (in the middle of a request, which then
 * is logged as broken off), or nobody could be, as TLS was never agreed on: what is written there waits
 * for ever, and the connection with it.
 */
function isOfHttp({ code = '' }: NodeJS.ErrnoException): boolean {
  return /^(?:HPE_|ERR_HTTP_)/.test(code) && code !== 'HPE_INVALID_EOF_STATE'
}

interface Explanation {
  readonly status: number
  readonly reason: string
  readonly message: string
}

function explain(code: string | undefined): Explanation {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return {
      status: 431,
      reason: 'Request Header Fields Too Large',
      message: `the request line and headers exceed ${limits.headerBytesMax} bytes`,
    }
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return {
      status: 408,
      reason: 'Request Timeout',
      message: 'the request headers did not arrive in time',
    }
  }
  return { status: 400, reason: 'Bad Request', message: 'this is not a well-formed HTTP request' }
}
