// An HTTP proxy on loopback that records what it is asked for: tunnels by CONNECT, and requests in
// the absolute form. Names lead where a test says, as only the proxy resolves them.

import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface FakeProxyOptions {
  /** `127.0.0.1:4711` by the `name:port` that is asked for; others are connected to as they are. */
  readonly hosts?: Readonly<Record<string, string>>
  /** Wanted from every client: `user:password`. */
  readonly login?: string
}

export class FakeProxy implements AsyncDisposable {
  /** `CONNECT name:port`, `GET http://name:port/path`, the first one first. */
  readonly log: string[] = []
  readonly #options: FakeProxyOptions
  readonly #server: Server
  readonly #sockets = new Set<Duplex>()

  private constructor(options: FakeProxyOptions) {
    this.#options = options
    this.#server = createServer((incoming, response) => this.#forward(incoming, response))
    this.#server.on('connect', (incoming, socket) => this.#tunnel(incoming, socket))
    this.#server.on('connection', (socket: Socket) => this.#keep(socket))
  }

  static async start(options: FakeProxyOptions = {}): Promise<FakeProxy> {
    const proxy = new FakeProxy(options)
    const listening = Promise.withResolvers<void>()
    proxy.#server.on('error', listening.reject).listen(0, '127.0.0.1', listening.resolve)
    await listening.promise
    return proxy
  }

  /** `127.0.0.1:<port>` */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = Promise.withResolvers<void>()
    this.#server.close(() => closed.resolve())
    for (const socket of this.#sockets) socket.destroy()
    await closed.promise
  }

  #tunnel(incoming: IncomingMessage, client: Duplex): void {
    const target = incoming.url ?? ''
    this.log.push(`CONNECT ${target}`)
    if (!this.#isKnown(incoming)) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const { hostname, port } = this.#place(target)
    const server = this.#keep(connect(port, hostname))
    server.once('connect', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      server.pipe(client).pipe(server)
    })
    server.once('error', () => client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
    client.once('error', () => server.destroy())
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const { method = '', url: target = '', headers } = incoming
    this.log.push(`${method} ${target}`)
    if (!this.#isKnown(incoming)) {
      response.writeHead(407).end()
      return
    }
    const url = new URL(target)
    const place = this.#place(`${url.hostname}:${url.port || 80}`)
    const { 'proxy-authorization': _login, ...passed } = headers
    const onward = request(
      { ...place, method, path: url.pathname + url.search, headers: passed },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    onward.once('error', () => response.destroy())
    incoming.pipe(onward)
  }

  #isKnown({ headers }: IncomingMessage): boolean {
    const { login } = this.#options
    if (login === undefined) return true
    return headers['proxy-authorization'] === `Basic ${Buffer.from(login).toString('base64')}`
  }

  #place(target: string): { hostname: string; port: number } {
    const place = this.#options.hosts?.[target] ?? target
    const colon = place.lastIndexOf(':')
    return { hostname: place.slice(0, colon), port: Number(place.slice(colon + 1)) }
  }

  #keep<T extends Duplex>(socket: T): T {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return socket
  }
}
