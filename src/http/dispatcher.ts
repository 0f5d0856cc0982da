/**
 * Takes a request from its first byte to its log line: route, access, handler, answer. Whatever is
 * thrown on the way becomes an answer here and nowhere else, or cuts the connection when the answer
 * has already begun.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BlockList } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Authenticator } from '../auth/authenticator.ts'
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'
import type { Log, RequestContext } from '../registry/request-context.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { admit, withChallenges } from './access-control.ts'
import { logAccess, RequestLog } from './access-log.ts'
import type { Cors } from './cors.ts'
import { hasBody, unreadBody } from './discard-body.ts'
import { errorReply } from './error-response.ts'
import type { Endpoint, Method, Route } from './exchange.ts'
import { HeldReplies } from './held-replies.ts'
import { clientView, type ClientView } from './forwarded.ts'
import { ClientGone, type Reply, sendReply } from './reply.ts'
import { RequestBody } from './request-body.ts'
import type { PathParameters, Router } from './router.ts'
import type { RequestListener } from './listener.ts'
import { ServedContext } from './served-context.ts'
import { parseVia } from './via.ts'

interface Parts {
  readonly router: Router<Route>
  readonly authenticator: Authenticator
  readonly metrics: Metrics
  readonly log: Log
  readonly proxyName: string
}

/** What a reload can change. */
export interface DispatcherSettings {
  readonly hostnames: readonly string[]
  readonly trustedProxies: BlockList
  readonly cors: Cors
}

/** One request while it is served, and what its log line will say of it. */
interface Served {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly context: Omit<RequestContext, 'principal' | 'signal'>
  readonly body: RequestBody
  readonly client: ClientView
  readonly started: number
  route: string
  user: string
  sent: number
  /** `X-Cache` of what came through the cache. */
  cache: string | undefined
  refusal: OciError | undefined
}

export class Dispatcher {
  readonly #parts: Parts
  readonly #held = new HeldReplies({ bytesMax: limits.repliesHeldBytesMax })
  #settings: DispatcherSettings

  constructor(parts: Parts, settings: DispatcherSettings) {
    this.#parts = parts
    this.#settings = settings
  }

  reload(settings: DispatcherSettings): void {
    this.#settings = settings
  }

  /** For a server of node's. */
  get listener(): RequestListener {
    return (...args) => void this.dispatch(...args)
  }

  /** Never rejects. */
  async dispatch(
    request: IncomingMessage,
    response: ServerResponse,
    awaitsContinue: boolean,
  ): Promise<void> {
    const served = this.#begin(request, response, awaitsContinue)
    if (hasBody(request) && bodiless.includes(request.method ?? '')) void served.body.discard()
    this.#parts.metrics.inFlight.inc()
    let status: number
    try {
      status = await this.#send(served, this.#preflight(served) ?? (await this.#reply(served)))
    } catch (error) {
      status = endBroken(served, error)
    }
    this.#parts.metrics.inFlight.dec()
    this.#record(served, status)
  }

  #begin(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): Served {
    const { socket } = request
    const id = randomUUID()
    return {
      request,
      response,
      context: {
        id,
        log: new RequestLog(this.#parts.log, id),
        via: parseVia(request.headers.via),
      },
      body: new RequestBody(request, response, awaitsContinue),
      client: clientView(
        {
          remoteAddress: socket.remoteAddress,
          isTls: socket instanceof TLSSocket,
          headers: request.headers,
        },
        this.#settings.trustedProxies,
      ),
      started: performance.now(),
      route: 'none',
      user: '-',
      sent: 0,
      cache: undefined,
      refusal: undefined,
    }
  }

  /** @returns the status that was sent: of an error, when a blob could not even be begun. */
  async #send(served: Served, reply: Reply): Promise<number> {
    try {
      using _held = this.#hold(served.request, reply)
      await sendAll(served, reply)
      return reply.status
    } catch (error) {
      if (error instanceof ClientGone || served.response.headersSent) throw error
      const told = this.#errorReply(served, error)
      await sendAll(served, told)
      return told.status
    }
  }

  /** @throws OciError TOOMANYREQUESTS when too much is held for others. */
  #hold(request: IncomingMessage, { body }: Reply): Disposable | undefined {
    const isWhole = typeof body === 'string' || body instanceof Uint8Array
    if (!isWhole || request.method === 'HEAD') return undefined
    const held = this.#held.hold(body)
    if (held !== undefined) return held
    throw new OciError('TOOMANYREQUESTS', {
      message: 'too many large answers wait for clients that do not read them; try again',
      headers: { 'Retry-After': '5' },
    })
  }

  #preflight({ request }: Served): Reply | undefined {
    const headers = this.#settings.cors.preflight(request.method ?? '', request.headers)
    return headers && { status: 204, headers }
  }

  /** @throws ClientGone, and nothing else. */
  async #reply(served: Served): Promise<Reply> {
    try {
      const reply = await this.#handle(served)
      served.cache = reply.headers?.['X-Cache']?.toString()
      return this.#withCors(served, reply)
    } catch (error) {
      if (isBrokenOff(served.request, error)) throw new ClientGone()
      return this.#withCors(served, this.#errorReply(served, error))
    }
  }

  #withCors({ request }: Served, reply: Reply): Reply {
    const { cors } = this.#settings
    if (cors.isOff) return reply
    return { ...reply, headers: { ...reply.headers, ...cors.headers(request.headers) } }
  }

  #errorReply(served: Served, error: unknown): Reply {
    const { context, client } = served
    if (error instanceof OciError) served.refusal = error
    const reply = errorReply(context, error, locationBaseOf(client))
    return withChallenges(this.#parts.authenticator, reply, error, originOf(client))
  }

  async #handle(served: Served): Promise<Reply> {
    const { request, client } = served
    requireOneMeaning(request)
    const { path, query } = splitTarget(request.url ?? '/')
    const match = this.#parts.router.match(path)
    if (match === undefined) throw new OciError('NOT_FOUND')
    served.route = match.route.name
    const endpoint = endpointOf(match.route, request.method ?? '')
    const principal = await this.#admit(served, endpoint, match.parameters, query)
    served.user = principal.name
    return endpoint.handle({
      context: new ServedContext(served.context, served.response, principal),
      method: request.method ?? '',
      path,
      query,
      headers: request.headers,
      parameters: match.parameters,
      body: served.body,
      clientAddress: client.clientAddress,
      origin: originOf(client),
      hostnames: this.#settings.hostnames,
      proxyName: this.#parts.proxyName,
      locationBase: locationBaseOf(client),
    })
  }

  #admit(served: Served, endpoint: Endpoint, parameters: PathParameters, query: URLSearchParams) {
    return admit(this.#parts.authenticator, {
      access: endpoint.access,
      repository: parameters['repository'],
      source: endpoint.source?.(query),
      authorization: served.request.headers.authorization,
      clientAddress: served.client.clientAddress,
    })
  }

  #record(served: Served, status: number): void {
    const { request, route, body, sent, user, cache, refusal } = served
    const { metrics } = this.#parts
    const method = knownMethods.includes(request.method ?? '') ? (request.method ?? '') : 'other'
    const milliseconds = performance.now() - served.started
    metrics.requests.inc({ route, method, status })
    metrics.seconds.observe({ route, method }, milliseconds / 1000)
    metrics.received.inc({ route }, body.bytesRead)
    metrics.sent.inc({ route }, sent)
    logAccess(served.context.log, {
      method: request.method ?? '',
      url: request.url ?? '',
      route,
      status,
      milliseconds,
      received: body.bytesRead,
      sent,
      client: served.client.clientAddress,
      user,
      agent: request.headers['user-agent'],
      cache,
      refusal,
    })
  }
}

/** A label of metrics must not be the client's to choose. */
const knownMethods: readonly string[] = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']

/** Names and values of headers in turn. */
const headOfAll: readonly string[] = [
  'X-Content-Type-Options',
  'nosniff',
  'Docker-Distribution-API-Version',
  'registry/2.0',
]

/** Of these no handler reads a body: a client that sends one all the same is not to have it kept. */
const bodiless: readonly string[] = ['GET', 'HEAD', 'DELETE', 'OPTIONS']

/** nginx's code for a client that went away before it was answered. */
const clientClosedRequest = 499

/**
 * What node's parser lets pass and RFC 9112 (3.2, 6.1) does not: anything that a proxy before us may
 * have read in another way. HTTP/1.0 has no Host. @throws OciError UNKNOWN
 */
function requireOneMeaning({ headers, httpVersion, rawHeaders }: IncomingMessage): void {
  const refuse = (message: string): never => {
    throw new OciError('UNKNOWN', { status: 400, message, headers: { Connection: 'close' } })
  }
  if (headers.host === undefined && httpVersion === '1.1') {
    refuse('the request has no Host header')
  }
  if (countHosts(rawHeaders) > 1) refuse('the request has two Host headers')
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    refuse('of all transfer codings only chunked is understood')
  }
}

/** Node keeps the first of several. @param rawHeaders names and values in turn. */
function countHosts(rawHeaders: readonly string[]): number {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1
  }
  return count
}

/** @throws OciError UNSUPPORTED with the methods that there are. */
function endpointOf(route: Route, method: string): Endpoint {
  const endpoint = route.endpoints[method as Method]
  if (endpoint !== undefined) return endpoint
  const allow = Object.keys(route.endpoints).join(', ')
  throw new OciError('UNSUPPORTED', {
    message: `${method.slice(0, 20)} is not supported here, only ${allow}`,
    headers: { Allow: allow },
  })
}

/** Read by many; written by nobody. */
const noQuery = new URLSearchParams()

/** Clients of proxies send the absolute form (RFC 9112, 3.2.2). */
function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const local = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?]*/i, '')
  const mark = local.indexOf('?')
  if (mark === -1) return { path: local, query: noQuery }
  return { path: local.slice(0, mark), query: new URLSearchParams(local.slice(mark + 1)) }
}

/** A client that sent no Host is HTTP/1.0, and no registry client is. */
function originOf({ proto, host }: ClientView): string {
  return `${proto}://${host ?? 'localhost'}`
}

/** Relative unless a proxy told the origin: that is right behind any ingress. */
function locationBaseOf(client: ClientView): string {
  return client.external ? originOf(client) : ''
}

/** The request's own stream failed: its client is gone, whatever else is wrong. */
function isBrokenOff(request: IncomingMessage, error: unknown): boolean {
  return request.destroyed && error === request.errored
}

/** Sends the reply, and sees to the body that nobody read. */
async function sendAll(served: Served, reply: Reply): Promise<void> {
  const { request, response, context, body } = served
  const unread = unreadBody(request, body.isWithheld)
  if (unread === 'long' || unread === 'withheld') response.setHeader('Connection', 'close')
  // Begun before the answer: a client that takes its time for that would have us keep what it sent.
  if (unread === 'long' || unread === 'short') void body.discard()
  await sendReply(request, response, reply, {
    head: ['X-Request-Id', context.id, ...headOfAll],
    onSent: (bytes) => {
      served.sent += bytes
    },
    ...(unread === 'long' && { beforeEnd: () => body.discard() }),
  })
  if (unread !== 'short') return
  // The connection goes on with the next request only when this one's body has ended.
  await body.discard()
  if (!request.complete) request.socket.destroy()
}

/** @returns the status for the log: the answer had begun, or nobody is left to read one. */
function endBroken(served: Served, error: unknown): number {
  const { request, response, context } = served
  const isGone = error instanceof ClientGone || request.socket.destroyed
  if (isGone) context.log.debug({ err: error }, 'the client went away')
  else context.log.error({ err: error }, 'the answer broke off; the connection is cut')
  response.destroy()
  return isGone ? clientClosedRequest : response.statusCode
}
