/**
 * The socket side of the server: HTTP or HTTPS, its timeouts, certificate reload, and stopping without
 * cutting anybody off who is still moving bytes.
 */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http'
import {
  createServer as createTlsServer,
  type Server as TlsServer,
  type ServerOptions as SecureOptions,
} from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits } from '../config/limits.ts'
import { createServer } from '../lib/node-http.ts'
import { StartError } from '../lib/start-error.ts'
import type { Log } from '../registry/request-context.ts'
import { refuse } from './refusal.ts'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface ListenerSettings {
  readonly headersTimeoutSeconds: number
  readonly socketIdleSecondsMax: number
  readonly keepAliveSecondsMax: number
  readonly connectionsMax: number
}

export type RequestListener = (
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
) => void

export class Listener {
  readonly #server: Server | TlsServer
  readonly #secure: TlsServer | undefined
  /** Answers that are not finished, by connection, in their order: clients may send requests ahead. */
  readonly #unfinished = new Map<Duplex, Set<ServerResponse>>()
  readonly #listener: RequestListener
  #isClosing = false

  /** @throws StartError when the certificate or its key cannot be used. */
  constructor(
    listener: RequestListener,
    log: Log,
    certificate: Certificate | undefined,
    settings: ListenerSettings = limits,
  ) {
    this.#listener = listener
    const options = serverOptions(settings)
    const handshakeTimeout = settings.headersTimeoutSeconds * 1000
    this.#secure = certificate && createSecure(certificate, { ...options, handshakeTimeout })
    this.#server = this.#secure ?? createServer(options)
    const server = this.#server
    // A large layer over a slow line takes as long as it takes: only silence ends a connection.
    server.requestTimeout = 0
    server.headersTimeout = settings.headersTimeoutSeconds * 1000
    server.keepAliveTimeout = settings.keepAliveSecondsMax * 1000
    server.setTimeout(settings.socketIdleSecondsMax * 1000)
    server.maxConnections = settings.connectionsMax
    server.on('request', (request, response) => this.#serve(request, response, false))
    server.on('checkContinue', (request, response) => this.#serve(request, response, true))
    // An expectation nobody knows may be ignored (RFC 9110, 10.1.1).
    server.on('checkExpectation', (request, response) => this.#serve(request, response, false))
    server.on('clientError', (error, socket) => {
      refuse(log, { error, socket, unfinished: [...(this.#unfinished.get(socket) ?? [])] })
    })
  }

  /**
   * @param flag that sets the address, for the hint in an error
   * @returns the address as a URL. @throws StartError when the address cannot be listened on.
   */
  async listen(bind: { host: string; port: number }, flag = '--bind'): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => reject(explain(bind, flag, cause)))
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
    this.#isClosing = true
    for (const unfinished of this.#unfinished.values()) announceEnd(lastOf(unfinished))
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceSeconds * 1000)
    await closed
    clearTimeout(timer)
  }

  /**
   * One request of a connection at a time: node hands on all that a client sent ahead, and the
   * answers that wait behind a slow one would hold their buffers, thousands of them.
   */
  #serve(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const { socket } = request
    const unfinished = this.#unfinishedOf(socket)
    const before = lastOf(unfinished)
    this.#remember(unfinished, response)
    const start = (): void => {
      if (this.#isClosing && lastOf(unfinished) === response) announceEnd(response)
      this.#listener(request, response, awaitsContinue)
    }
    if (before === undefined) return start()
    if (unfinished.size > limits.requestsAheadMax) {
      socket.destroy()
      return
    }
    // No more is read meanwhile than what has arrived already.
    socket.pause()
    before.once('close', () => {
      // The answer before was the last one of its connection.
      if (!socket.writable) return
      socket.resume()
      start()
    })
  }

  #unfinishedOf(socket: Duplex): Set<ServerResponse> {
    const known = this.#unfinished.get(socket)
    if (known !== undefined) return known
    const unfinished = new Set<ServerResponse>()
    this.#unfinished.set(socket, unfinished)
    socket.once('close', () => this.#unfinished.delete(socket))
    return unfinished
  }

  #remember(unfinished: Set<ServerResponse>, response: ServerResponse): void {
    unfinished.add(response)
    response.once('close', () => {
      unfinished.delete(response)
      // A connection that is done now would be kept open for the next request.
      if (this.#isClosing) this.#server.closeIdleConnections()
    })
  }
}

function lastOf(responses: Set<ServerResponse>): ServerResponse | undefined {
  return responses.size === 0 ? undefined : [...responses].at(-1)
}

/** A client that is told sends its next request elsewhere, and not into a connection that ends. */
function announceEnd(response: ServerResponse | undefined): void {
  if (response?.headersSent === false) response.setHeader('Connection', 'close')
}

function serverOptions({ headersTimeoutSeconds }: ListenerSettings): ServerOptions {
  return {
    maxHeaderSize: limits.headerBytesMax,
    noDelay: true,
    // The dispatcher refuses such requests: node's own answer has no body.
    requireHostHeader: false,
    // Node looks for slow headers only now and then.
    connectionsCheckingInterval: headersTimeoutSeconds * 200,
  }
}

function createSecure(certificate: Certificate, options: SecureOptions): TlsServer {
  try {
    return createTlsServer({ ...options, ...certificate, minVersion: 'TLSv1.2' })
  } catch (cause) {
    throw new StartError(
      `the TLS certificate and key cannot be used: ${cause instanceof Error ? cause.message : 'unknown error'}`,
      { cause },
    )
  }
}

function explain(
  bind: { host: string; port: number },
  flag: string,
  cause: NodeJS.ErrnoException,
): StartError {
  const address = bind.host.includes(':')
    ? `[${bind.host}]:${bind.port}`
    : `${bind.host}:${bind.port}`
  const reasons: Record<string, string> = {
    EADDRINUSE: `another process uses this port: stop it, or choose another port with ${flag}`,
    EACCES: `ports below 1024 need a privilege: choose a higher port with ${flag}`,
    EADDRNOTAVAIL: `this machine has no such address: see ${flag}`,
    ENOTFOUND: `this host name does not resolve: see ${flag}`,
    EAFNOSUPPORT: `this machine has no IPv6: start with ${flag} 0.0.0.0:${bind.port}`,
  }
  const reason = reasons[cause.code ?? ''] ?? cause.message
  return new StartError(`cannot listen on ${address}: ${reason}`, { cause })
}
