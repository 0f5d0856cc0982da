// A gate in front of another registry: requests go through to it and are counted, until the gate is
// told to give another answer, or none. This is how an upstream is at its limit, or hangs.

import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { LoggedRequest, Upstream } from './upstream-registry.ts'

type GateAnswer =
  /** What the registry behind it says. */
  | 'pass'
  /** The connection stands, and nothing comes. */
  | 'nothing'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }

type GateRule = (request: Pick<LoggedRequest, 'method' | 'path'>) => GateAnswer

type Behind = Pick<Upstream, 'host' | 'kill' | typeof Symbol.asyncDispose>

export class UpstreamGate implements Upstream {
  /** From now on, to all or by what is asked. */
  answer: GateAnswer | GateRule = 'pass'
  readonly #server = createServer((incoming, outgoing) => this.#receive(incoming, outgoing))
  #behind: Behind | undefined
  #requests: LoggedRequest[] = []

  /** @param start starts the registry behind it, which may want to know by what host it is reached. */
  static async start(start: (host: string) => Promise<Behind>): Promise<UpstreamGate> {
    await using resources = new AsyncDisposableStack()
    const gate = resources.use(new UpstreamGate())
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    gate.#behind = await start(gate.host)
    resources.move()
    return gate
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Without an answer yet they have the status 0. */
  async takeRequests(): Promise<LoggedRequest[]> {
    const taken = this.#requests
    this.#requests = []
    return taken
  }

  async kill(): Promise<void> {
    await this.#close()
    await this.#behind?.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
    await this.#behind?.[Symbol.asyncDispose]()
  }

  async #close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  #receive(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = '', url: path = '', headers } = incoming
    const log = { method, path, status: 0 }
    this.#requests.push(log)
    // A client that leaves is none of the gate's business.
    incoming.on('error', () => undefined)
    outgoing.on('error', () => undefined)
    const answer = typeof this.answer === 'function' ? this.answer(log) : this.answer
    if (answer === 'nothing') return
    if (answer !== 'pass') {
      log.status = answer.status
      outgoing.writeHead(log.status, answer.headers).end()
      return
    }
    const [hostname, port] = (this.#behind?.host ?? '').split(':')
    const onward = request({ hostname, port, method, path, headers })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    onward.on('response', (reply) => {
      log.status = reply.statusCode ?? 0
      outgoing.writeHead(log.status, reply.rawHeaders)
      reply.on('error', () => outgoing.destroy())
      reply.pipe(outgoing)
    })
    incoming.pipe(onward)
  }
}
