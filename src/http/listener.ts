/**
 * The socket side of the server: HTTP or HTTPS, its timeouts, certificate reload, and stopping without
 * cutting anybody off who is still moving bytes.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { errorBody } from './error-response.ts'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export type RequestListener = (
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
) => void

export class Listener {
  readonly #server: Server | TlsServer
  readonly #secure: TlsServer | undefined

  /** @throws StartError when the certificate or its key cannot be used. */
  constructor(listener: RequestListener, certificate: Certificate | undefined) {
    this.#secure = certificate && createSecure(certificate)
    this.#server = this.#secure ?? createServer(serverOptions)
    const server = this.#server
    // A large layer over a slow line takes as long as it takes: only silence ends a connection.
    server.requestTimeout = 0
    server.headersTimeout = limits.headersTimeoutSeconds * 1000
    server.keepAliveTimeout = limits.keepAliveSecondsMax * 1000
    server.setTimeout(limits.socketIdleSecondsMax * 1000)
    server.maxConnections = limits.connectionsMax
    server.on('request', (request, response) => listener(request, response, false))
    server.on('checkContinue', (request, response) => listener(request, response, true))
    server.on('clientError', refuse)
  }

  /** @returns the address as a URL. @throws StartError when the address cannot be listened on. */
  async listen(bind: { host: string; port: number }): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => reject(explain(bind, cause)))
      this.#server.listen({ host: bind.host, port: bind.port }, resolve)
    })
    const { address, port, family } = this.#server.address() as AddressInfo
    const host = family === 'IPv6' ? `[${address}]` : address
    return `${this.#secure === undefined ? 'http' : 'https'}://${host}:${port}`
  }

  /** New connections get the new certificate. @throws when it cannot be used; the old one stays. */
  setCertificate(certificate: Certificate): void {
    this.#secure?.setSecureContext(certificate)
  }

  /** Takes no more connections; cuts those that are not done after `graceSeconds`. */
  async close(graceSeconds: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceSeconds * 1000)
    await closed
    clearTimeout(timer)
  }
}

const serverOptions = { maxHeaderSize: limits.headerBytesMax, noDelay: true }

function createSecure(certificate: Certificate): TlsServer {
  try {
    return createTlsServer({ ...serverOptions, ...certificate, minVersion: 'TLSv1.2' })
  } catch (cause) {
    throw new StartError(
      `the TLS certificate and key cannot be used: ${cause instanceof Error ? cause.message : 'unknown error'}`,
      { cause },
    )
  }
}

function explain(bind: { host: string; port: number }, cause: NodeJS.ErrnoException): StartError {
  const address = bind.host.includes(':')
    ? `[${bind.host}]:${bind.port}`
    : `${bind.host}:${bind.port}`
  const reasons: Record<string, string> = {
    EADDRINUSE: 'another process uses this port: stop it, or choose another port with --bind',
    EACCES: 'ports below 1024 need a privilege: choose a higher port with --bind',
    EADDRNOTAVAIL: 'this machine has no such address: see --bind',
    ENOTFOUND: 'this host name does not resolve: see --bind',
    EAFNOSUPPORT: 'this machine has no IPv6: start with --bind 0.0.0.0:8000',
  }
  const reason = reasons[cause.code ?? ''] ?? cause.message
  return new StartError(`cannot listen on ${address}: ${reason}`, { cause })
}

/** What is not HTTP, or too large, before there is a request to answer. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, message] = reasonOf(error.code)
  const body = errorBody('UNKNOWN', message)
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

function reasonOf(code: string | undefined): [status: string, message: string] {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return [
      '431 Request Header Fields Too Large',
      `the request line and headers exceed ${limits.headerBytesMax} bytes`,
    ]
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return ['408 Request Timeout', 'the request headers did not arrive in time']
  }
  return ['400 Bad Request', 'this is not a well-formed HTTP request']
}
