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
  /** Of node's parser, with what it could not read, or of the socket. */
  readonly error: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array }
  readonly socket: Duplex
  /** Answers on the same connection that are not finished. */
  readonly unfinished: readonly ServerResponse[]
}

export function refuse(log: Log, { error, socket, unfinished }: Refused): void {
  const isAnswering = unfinished.length > 1 || unfinished.some((response) => response.headersSent)
  if (isOfTls(error)) log.info({ client: clientOf(socket), code: error.code }, explainTls(error))
  if (!socket.writable || !isOfHttp(error) || isAnswering) {
    socket.destroy()
    return
  }
  const { status, reason, message } = explain(error)
  const id = randomUUID()
  const body = errorBody('UNKNOWN', message)
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nX-Request-Id: ${id}\r\n` +
      'X-Content-Type-Options: nosniff\r\nDocker-Distribution-API-Version: registry/2.0\r\n' +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  const client = clientOf(socket)
  log.info({ request: id, status, client, code: error.code }, `refused ${status}: ${message}`)
}

function clientOf(socket: Duplex): string {
  return socket instanceof Socket ? (socket.remoteAddress ?? 'unknown') : 'unknown'
}

/** OpenSSL's errors, of handshakes that failed. */
function isOfTls({ code = '' }: NodeJS.ErrnoException): boolean {
  return code.startsWith('ERR_SSL_')
}

function explainTls(error: NodeJS.ErrnoException & { readonly reason?: string }): string {
  if (error.code === 'ERR_SSL_HTTP_REQUEST') {
    return 'refused: the client speaks plain HTTP, and this port HTTPS'
  }
  const reason = error.reason ?? error.message
  return /alert (?:bad certificate|certificate unknown|unknown ca)/.test(reason)
    ? `refused: the client does not trust the certificate: ${reason}`
    : `refused: no TLS connection could be made: ${reason}`
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

function explain(error: Refused['error']): Explanation {
  const { code } = error
  if (isTlsHello(error.rawPacket)) {
    const message =
      'the client speaks HTTPS, and this port plain HTTP: start with --tls, or have the client use HTTP'
    return { status: 400, reason: 'Bad Request', message }
  }
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

/** The record that a TLS connection begins with (RFC 8446, 5.1). */
function isTlsHello(bytes: Uint8Array | undefined): boolean {
  return bytes?.[0] === 0x16 && bytes[1] === 0x03
}
