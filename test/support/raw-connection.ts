// One connection to a registry, byte by byte: for requests that are cut short, sent in pieces, sent
// before the answer to the one before, or read slowly.

import type { IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { makeReply, type Reply } from './http-client.ts'

const deadlineMs = 30_000

interface Head {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
}

export class RawConnection implements Disposable {
  readonly socket: Socket
  #pending: Buffer = Buffer.alloc(0)
  #error: Error | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.pause()
    socket.on('error', (error) => {
      this.#error = error
    })
  }

  /** @param options.ca PEM of the authority to trust, for https. */
  static async open(url: string, options: { ca?: string } = {}): Promise<RawConnection> {
    const { protocol, hostname, port } = new URL(url)
    const target = { host: hostname, port: Number(port) }
    const socket =
      protocol === 'https:'
        ? connectTls({ ...target, ...(options.ca !== undefined && { ca: options.ca }) })
        : connect(target)
    await new Promise<void>((resolve, reject) => {
      socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => resolve())
      socket.once('error', reject)
    })
    return new RawConnection(socket)
  }

  /** The certificate that the other side showed. */
  get fingerprint(): string {
    return (this.socket as TLSSocket).getPeerCertificate().fingerprint256
  }

  /** A request's head; `Host` is added. */
  writeHead(method: string, path: string, headers: Readonly<Record<string, string>> = {}): void {
    const lines = Object.entries({ Host: 'registry.test', ...headers })
    const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    this.write(`${method} ${path} HTTP/1.1\r\n${text}\r\n`)
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** One chunk of a body in chunked coding. */
  writeChunk(bytes: Uint8Array): void {
    this.write(`${bytes.length.toString(16)}\r\n`)
    this.write(bytes)
    this.write('\r\n')
  }

  /** Resolves when all that was written is with the system. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write('', () => resolve())
    })
  }

  /** Ends the connection with a reset, as a client does that is killed. */
  cut(): void {
    this.socket.resetAndDestroy()
  }

  async readHead(): Promise<Head> {
    for (;;) {
      const end = this.#pending.indexOf('\r\n\r\n')
      if (end !== -1) {
        const head = parseHead(this.#pending.subarray(0, end).toString('latin1'))
        this.#pending = this.#pending.subarray(end + 4)
        return head
      }
      await this.#more('the head of an answer')
    }
  }

  /** An answer with its body, which is to have a Content-Length. */
  async readReply(method = 'GET'): Promise<Reply> {
    const head = await this.readHead()
    const hasBody = method !== 'HEAD' && head.status !== 204 && head.status !== 304
    const length = hasBody ? Number(head.headers['content-length'] ?? 0) : 0
    return makeReply(head, await this.readBytes(length))
  }

  async readBytes(count: number): Promise<Buffer> {
    const parts: Buffer[] = []
    let missing = count
    while (missing > 0) {
      if (this.#pending.length === 0) await this.#more(`${missing} more bytes`)
      const part = this.#pending.subarray(0, missing)
      this.#pending = this.#pending.subarray(part.length)
      missing -= part.length
      parts.push(part)
    }
    return Buffer.concat(parts)
  }

  /** All that comes until the other side ends the connection. */
  async readToEnd(): Promise<Buffer> {
    const parts = [this.#pending]
    this.#pending = Buffer.alloc(0)
    while (await this.#pull()) {
      parts.push(this.#pending)
      this.#pending = Buffer.alloc(0)
    }
    return Buffer.concat(parts)
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  async #more(what: string): Promise<void> {
    if (await this.#pull()) return
    throw new Error(`the connection ended, expected ${what}`, { cause: this.#error })
  }

  /** @returns false at the end of the connection, however it came. */
  async #pull(): Promise<boolean> {
    for (;;) {
      const chunk = this.socket.read() as Buffer | null
      if (chunk !== null) {
        this.#pending = Buffer.concat([this.#pending, chunk])
        return true
      }
      if (this.socket.readableEnded || this.socket.destroyed) return false
      await this.#readable()
    }
  }

  #readable(): Promise<void> {
    const { socket } = this
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error('nothing came in time')), deadlineMs)
    const events = ['readable', 'end', 'close'] as const
    for (const event of events) socket.once(event, resolve)
    return promise.finally(() => {
      clearTimeout(timer)
      for (const event of events) socket.off(event, resolve)
    })
  }
}

function parseHead(text: string): Head {
  const [statusLine = '', ...lines] = text.split('\r\n')
  const pairs = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value])),
    rawHeaders: pairs.flat(),
  }
}
