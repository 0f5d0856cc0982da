// A server under public names: TLS with a certificate for them, in front of one on this machine that has none.

import { createServer } from 'node:tls'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { issueCertificate } from './certificate.ts'

export interface TlsFront extends AsyncDisposable {
  /** `127.0.0.1:4711` */
  readonly host: string
  /** The authority to trust, PEM. */
  readonly ca: string
}

/** @param behind `127.0.0.1:4712` */
export async function startTlsFront(names: readonly string[], behind: string): Promise<TlsFront> {
  const { cert, key, ca } = issueCertificate(names)
  const { hostname, port } = new URL(`http://${behind}`)
  const sockets = new Set<Socket>()
  const server = createServer({ cert, key }, (client) => {
    const onward = connect(Number(port), hostname)
    for (const [socket, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      sockets.add(socket)
      socket.once('error', () => other.destroy()).once('close', () => sockets.delete(socket))
      socket.pipe(other)
    }
  })
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject).listen(0, '127.0.0.1', listening.resolve)
  await listening.promise
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    [Symbol.asyncDispose]: async () => {
      const closed = Promise.withResolvers<void>()
      server.close(() => closed.resolve())
      for (const socket of sockets) socket.destroy()
      await closed.promise
    },
  }
}
