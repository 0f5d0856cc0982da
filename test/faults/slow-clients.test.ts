// Slow clients and silent ones, with the listener's bounds shortened from minutes to a second: who
// moves a byte now and then is never cut, however long it takes; who does not, is.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Certificate, Listener } from '../../src/http/listener.ts'
import { issueCertificate } from '../support/certificate.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { silentLog } from '../support/request-context.ts'

const bounds = {
  headersTimeoutSeconds: 1,
  socketIdleSecondsMax: 1,
  keepAliveSecondsMax: 1,
  connectionsMax: 8,
}
/** Three times the bound, with a byte in each third of it. */
const bytes = 9
const pauseMs = 333
const whole = Buffer.alloc(32 << 20, 'slow')

/** `PUT` reads the body, `GET /slow` answers byte by byte, `GET /whole` with a lot at once. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let received = 0
  for await (const chunk of request) received += (chunk as Buffer).length
  if (request.url === '/slow') {
    response.setHeader('Content-Length', bytes)
    for (let sent = 0; sent < bytes; sent += 1) {
      response.write('x')
      await delay(pauseMs)
    }
    response.end()
  } else {
    const body = request.url === '/whole' ? whole : `${received}`
    response.setHeader('Content-Length', Buffer.byteLength(body))
    response.end(body)
  }
}

async function listen(
  certificate?: Certificate,
): Promise<AsyncDisposable & { readonly url: string }> {
  const gone = (): undefined => undefined
  const listener = new Listener(
    (request, response) => void serve(request, response).catch(gone),
    silentLog,
    certificate,
    bounds,
  )
  const url = await listener.listen({ host: '127.0.0.1', port: 0 })
  return { url, [Symbol.asyncDispose]: () => listener.close(0) }
}

/** How long the other side takes to end the connection. */
async function secondsToEnd(connection: RawConnection): Promise<number> {
  const started = performance.now()
  await connection.readToEnd()
  return (performance.now() - started) / 1000
}

const together = { concurrency: true }

describe('a listener whose time is short', together, () => {
  describe('a client that moves a byte now and then', together, () => {
    test('sends its body to the end', async () => {
      await using server = await listen()
      using connection = await RawConnection.open(server.url)
      connection.writeHead('PUT', '/', { 'Content-Length': String(bytes) })
      for (let sent = 0; sent < bytes; sent += 1) {
        connection.write('x')
        await delay(pauseMs)
      }
      assert.equal((await connection.readReply()).body.toString(), String(bytes))
    })

    test('sends its body in chunks to the end', async () => {
      await using server = await listen()
      using connection = await RawConnection.open(server.url)
      connection.writeHead('PUT', '/', { 'Transfer-Encoding': 'chunked' })
      for (let sent = 0; sent < bytes; sent += 1) {
        connection.writeChunk(Buffer.from('x'))
        await delay(pauseMs)
      }
      connection.write('0\r\n\r\n')
      assert.equal((await connection.readReply()).body.toString(), String(bytes))
    })

    test('gets an answer that comes byte by byte', async () => {
      await using server = await listen()
      using connection = await RawConnection.open(server.url)
      connection.writeHead('GET', '/slow')
      assert.equal((await connection.readReply()).body.length, bytes)
    })

    test('reads a large answer in bites to its end', async () => {
      await using server = await listen()
      using connection = await RawConnection.open(server.url)
      connection.writeHead('GET', '/whole')
      assert.equal((await connection.readHead()).status, 200)
      // What the system takes beforehand is out of sight here, so the bites are large.
      const bite = whole.length / 16
      for (let read = 0; read < whole.length; read += bite) {
        assert.equal((await connection.readBytes(bite)).length, bite)
        await delay(pauseMs)
      }
    })
  })

  describe('a client that is silent', together, () => {
    const cases: [name: string, begin: (connection: RawConnection) => void][] = [
      ['from the start', () => undefined],
      ['in the middle of its headers', (connection) => connection.write('GET / HTTP/1.1\r\nHo')],
      [
        'in the middle of its body',
        (connection) => {
          connection.writeHead('PUT', '/', { 'Content-Length': '10' })
          connection.write('x')
        },
      ],
      [
        'in the middle of a chunk',
        (connection) => {
          connection.writeHead('PUT', '/', { 'Transfer-Encoding': 'chunked' })
          connection.write('a\r\nx')
        },
      ],
      ['after its answer', (connection) => connection.writeHead('GET', '/')],
    ]
    for (const [name, begin] of cases) {
      test(`${name} is cut`, async () => {
        await using server = await listen()
        using connection = await RawConnection.open(server.url)
        begin(connection)
        const seconds = await secondsToEnd(connection)
        assert.ok(seconds > 0.5 && seconds < 20, `after ${seconds} s`)
      })
    }

    test('and reads nothing of its answer is cut', async () => {
      await using server = await listen()
      using connection = await RawConnection.open(server.url)
      connection.writeHead('GET', '/whole')
      assert.equal((await connection.readHead()).status, 200)
      await delay(4_000)
      const received = await connection.readToEnd()
      assert.ok(received.length < whole.length)
    })
  })

  test('a client that says nothing where TLS is spoken is cut', async () => {
    await using server = await listen(issueCertificate(['127.0.0.1']))
    using connection = await RawConnection.open(server.url.replace('https', 'http'))
    const seconds = await secondsToEnd(connection)
    assert.ok(seconds > 0.5 && seconds < 20, `after ${seconds} s`)
  })

  for (const bytes of ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\x16\x03\x01\0\x05hello', '\0\0\0']) {
    test(`what is no TLS is cut where that is spoken: ${JSON.stringify(bytes)}`, async () => {
      await using server = await listen(issueCertificate(['127.0.0.1']))
      using connection = await RawConnection.open(server.url.replace('https', 'http'))
      connection.write(Buffer.from(bytes, 'latin1'))
      assert.ok((await secondsToEnd(connection)) < 20)
    })
  }

  test('headers that come byte by byte are too slow, whoever sends them', async () => {
    await using server = await listen()
    using connection = await RawConnection.open(server.url)
    const ended = secondsToEnd(connection)
    const headers = 'GET / HTTP/1.1\r\nHost: a\r\n'
    for (const byte of headers) {
      connection.write(byte)
      await delay(100)
    }
    assert.ok((await ended) < 20)
  })

  test('more connections than there may be are closed, and those that are there go on', async () => {
    await using server = await listen()
    const count = bounds.connectionsMax
    const connections = await Promise.all(
      Array.from({ length: count }, () => RawConnection.open(server.url)),
    )
    using more = await RawConnection.open(server.url)
    assert.equal((await more.readToEnd()).length, 0)
    for (const connection of connections) {
      connection.writeHead('GET', '/')
      assert.equal((await connection.readReply()).status, 200)
      connection[Symbol.dispose]()
    }
  })
})
