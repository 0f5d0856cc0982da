// A scripted registry over a real socket: it serves the content it is given, complete and correct,
// and every fault is a behaviour laid around that (see `fake-upstream-behaviours.ts`). It records
// all requests. Port 0, loopback only; disposing of it cuts every connection.

import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http'
import type { ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { FakeContent } from './fake-upstream-content.ts'

export interface FakeRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** What is sent back, as data that a behaviour can change before it goes out. */
export interface Answer {
  readonly status: number
  /** By lower-case name. `content-length` is added where it is missing. */
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: Buffer
  /** The connection is cut after so many bytes of the body; before the headers if negative. */
  readonly cutAfterBytes?: number
  /** Nothing after so many bytes of the body (or before the headers if negative) until then. */
  readonly hold?: { readonly afterBytes: number; readonly until: Promise<void> }
}

/** Makes an answer, or changes the one that it would be otherwise. */
export type Behaviour = (
  request: FakeRequest,
  next: () => Promise<Answer>,
) => Answer | Promise<Answer>

export interface FakeUpstreamOptions {
  /** Serves https with this key and certificate (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** With `tls`: only clients with a certificate of this authority (PEM) are served. */
  readonly clientAuthority?: string
}

export interface BehaviourScope {
  /** Matched against `GET /v2/a/b/manifests/latest`, without the query. */
  readonly on?: RegExp
  /** How many matching requests it applies to; all of them by default. */
  readonly times?: number
}

export class FakeUpstream implements AsyncDisposable {
  /** Every request that came in, the first one first. */
  readonly requests: FakeRequest[] = []
  readonly content = new FakeContent()
  /** How many connections were made to it so far, whatever came of them. */
  connections = 0
  readonly #server: Server
  readonly #scheme: 'http' | 'https'
  readonly #sockets = new Set<Socket>()
  readonly #behaviours: Behaviour[] = []

  private constructor({ tls, clientAuthority: ca }: FakeUpstreamOptions) {
    this.#scheme = tls === undefined ? 'http' : 'https'
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error))
    }
    const verifying = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }
    this.#server =
      tls === undefined
        ? createHttpServer(listener)
        : createHttpsServer({ ...tls, ...verifying }, listener)
    this.#server.on('connection', (socket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
    const upstream = new FakeUpstream(options)
    const listening = Promise.withResolvers<void>()
    upstream.#server.on('error', listening.reject).listen(0, '127.0.0.1', listening.resolve)
    await listening.promise
    return upstream
  }

  /** `127.0.0.1:<port>`. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get origin(): string {
    return `${this.#scheme}://${this.host}`
  }

  /** Lays a behaviour around what is there: the newest one sees a request first. */
  use(behaviour: Behaviour, scope: BehaviourScope = {}): this {
    let left = scope.times ?? Number.POSITIVE_INFINITY
    this.#behaviours.unshift((request, next) => {
      const applies = scope.on === undefined || scope.on.test(`${request.method} ${request.path}`)
      if (!applies || left <= 0) return next()
      left -= 1
      return behaviour(request, next)
    })
    return this
  }

  /** Requests as `GET /v2/...`, with their query, for a look at what was asked for. */
  get log(): string[] {
    return this.requests.map(({ method, path, query }) => {
      const search = query.toString()
      return `${method} ${path}${search === '' ? '' : `?${search}`}`
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>()
    this.#server.close(() => closed.resolve())
    for (const socket of this.#sockets) socket.destroy()
    await closed.promise
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', this.origin)
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const request: FakeRequest = {
      method: incoming.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    }
    this.requests.push(request)
    await send(response, await this.#answer(request, 0), request.method === 'HEAD')
  }

  async #answer(request: FakeRequest, layer: number): Promise<Answer> {
    const behaviour = this.#behaviours[layer]
    if (behaviour === undefined) return this.content.answer(request)
    return await behaviour(request, async () => await this.#answer(request, layer + 1))
  }
}

async function send(response: ServerResponse, answer: Answer, isHead: boolean): Promise<void> {
  const { status, headers, body, cutAfterBytes: cut, hold } = answer
  if (hold !== undefined && hold.afterBytes < 0) await hold.until
  if (cut !== undefined && cut < 0) {
    response.destroy()
    return
  }
  response.writeHead(status, { 'content-length': String(body.length), ...headers })
  if (isHead) {
    response.end()
    return
  }
  const end = Math.min(cut ?? body.length, body.length)
  const pause = Math.min(Math.max(hold?.afterBytes ?? end, 0), end)
  response.flushHeaders()
  await write(response, body.subarray(0, pause))
  await hold?.until
  await write(response, body.subarray(pause, end))
  if (cut === undefined) response.end()
  else response.destroy()
}

async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  const written = Promise.withResolvers<void>()
  // A client that went away takes no bytes, and that is no fault of this server.
  response.write(bytes, () => written.resolve())
  await written.promise
}
