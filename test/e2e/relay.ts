// A TCP relay in front of a registry: the address that clients have stays the same while the server
// behind it is killed and comes back on another port, and a test can wait for the moment at which so
// many bytes of a push (or of a pull) have gone through, which is in the middle of it. Told to, it cuts
// connections off at a byte.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Transform } from 'node:stream'

export type Direction = 'push' | 'pull'

export class Relay implements AsyncDisposable {
  /** Each ends the next connection on which so many bytes have come from the server, at that byte. */
  readonly cuts: number[] = []
  /** No more comes from the server on a connection on which so many bytes have. */
  haltsAfter = Infinity
  readonly #target: () => Promise<number>
  readonly #server = createServer((client) => void this.#relay(client))
  readonly #sockets = new Set<Socket>()
  readonly #bytes: Record<Direction, number> = { push: 0, pull: 0 }
  readonly #waiting = new Set<() => void>()

  private constructor(target: () => Promise<number>) {
    this.#target = target
  }

  /** @param target the server's port; asked for each connection, which waits for the answer. */
  static async start(target: () => Promise<number>): Promise<Relay> {
    const relay = new Relay(target)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    return relay
  }

  /** `127.0.0.1:4711` */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Resolves when that many bytes have gone in this direction since the relay began. */
  passed(direction: Direction, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (this.#bytes[direction] < bytes) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #relay(client: Socket): Promise<void> {
    this.#adopt(client)
    const port = await this.#target().catch(() => undefined)
    if (port === undefined) client.destroy()
    if (port === undefined || client.destroyed) return
    const server = connect(port, '127.0.0.1')
    this.#adopt(server)
    for (const [direction, from, to] of [
      ['push', client, server],
      ['pull', server, client],
    ] as const) {
      from.on('data', (chunk) => this.#count(direction, chunk.length))
      from.pipe(direction === 'pull' ? this.#cutting(server, client) : to)
      // After a clean end the pipe ends the other side, once that has taken all that was sent.
      from.once('close', () => {
        if (direction === 'push' || !from.readableEnded) to.destroy()
      })
    }
  }

  #cutting(server: Socket, client: Socket): Transform {
    let passed = 0
    const transform = new Transform({
      transform: (chunk: Buffer, _, done) => {
        const [at = Infinity] = this.cuts
        const rest = at - passed
        passed += chunk.length
        if (passed >= this.haltsAfter) return
        if (passed < at) return done(null, chunk)
        this.cuts.shift()
        transform.unpipe(client)
        server.destroy()
        client.end(chunk.subarray(0, rest))
      },
    })
    transform.pipe(client)
    return transform
  }

  #adopt(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    // A connection that breaks is what the relay is for; the other side then sees it close.
    socket.on('error', () => {})
  }

  #count(direction: Direction, bytes: number): void {
    this.#bytes[direction] += bytes
    for (const check of this.#waiting) check()
  }
}
