/**
 * Bodies that nobody wants: a client that asks first (`Expect: 100-continue`) is told before it sends,
 * one that sends at once gets its answer all the same, and no connection goes on in the middle of a
 * body.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { assertError, makeBlob, startSession, withDigest } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { basicHeader, type Registry, startRegistry } from '../support/start-registry.ts'

const user = { name: 'ann', password: 'correct horse' }
const authorization = basicHeader(user)
const large = Buffer.alloc(16 << 20, 'x')
const blob = makeBlob('expected', 500_000)

let registry: Registry
before(async () => {
  registry = await startRegistry({ user })
})
after(() => registry[Symbol.asyncDispose]())

/** Requests that are answered without their body, whatever it is. */
const refused: [name: string, method: string, path: () => Promise<string>, status: number][] = [
  ['without the session it names', 'PATCH', later('/v2/body/x/blobs/uploads/none'), 404],
  ['to an address that is none', 'PUT', later('/nothing'), 404],
  ['by a method that is none there', 'POST', later('/v2/'), 405],
  ['with a digest that is none', 'POST', later('/v2/body/x/blobs/uploads/?digest=x'), 400],
  ['with a tag that is none', 'PUT', later('/v2/body/x/manifests/-tag'), 400],
  [
    'with a digest that is none, at the end of a session',
    'PUT',
    async () => withDigest(await startSession(registry, 'body/x'), 'x'),
    400,
  ],
]

function later(path: string): () => Promise<string> {
  return () => Promise.resolve(path)
}

async function refusedReply(
  connection: RawConnection,
  status: number,
  method = 'PUT',
): Promise<Reply> {
  const reply = await connection.readReply(method)
  assert.equal(reply.status, status)
  assert.equal(reply.header('connection'), 'close')
  assert.equal((await connection.readToEnd()).length, 0)
  return reply
}

describe('a client that waits for 100 Continue', () => {
  test('is told to go on once its bytes are wanted, and its blob is stored', async () => {
    const location = await startSession(registry, 'body/continue')
    using connection = await RawConnection.open(registry.url)
    connection.writeHead('PUT', withDigest(location, blob.digest), {
      Authorization: authorization,
      'Content-Length': String(blob.bytes.length),
      Expect: '100-continue',
    })
    assert.equal((await connection.readHead()).status, 100)
    connection.write(blob.bytes)
    assert.equal((await connection.readReply()).status, 201)
    connection.writeHead('GET', '/v2/', { Authorization: authorization })
    assert.equal((await connection.readReply()).status, 200)
  })

  test('gets 401 without being asked for a byte', async () => {
    const location = await startSession(registry, 'body/continue')
    using connection = await RawConnection.open(registry.url)
    const headers = { 'Content-Length': String(large.length), Expect: '100-continue' }
    connection.writeHead('PATCH', location, headers)
    assertError(await refusedReply(connection, 401), 401, 'UNAUTHORIZED')
  })

  for (const [name, method, path, status] of refused) {
    test(`is refused without being asked for a byte: ${name}`, async () => {
      const target = await path()
      using connection = await RawConnection.open(registry.url)
      connection.writeHead(method, target, {
        Authorization: authorization,
        'Content-Length': '5',
        Expect: '100-continue',
      })
      await refusedReply(connection, status)
    })
  }

  test('is refused without being asked for a byte: more of a manifest than there may be', async () => {
    using connection = await RawConnection.open(registry.url)
    connection.writeHead('PUT', '/v2/body/x/manifests/large', {
      Authorization: authorization,
      'Content-Length': String(large.length),
      Expect: '100-continue',
    })
    await refusedReply(connection, 413)
  })
})

/** All of it goes out before the answer is looked at, as simple clients do. @returns whether it did. */
function sendAll(connection: RawConnection, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    connection.socket.write(bytes, (error) => resolve(!error))
  })
}

describe('a client that sends a large body at once', () => {
  const cases: typeof refused = [
    ...refused,
    ['without a login', 'PUT', later('/v2/body/x/manifests/v1'), 401],
    ['over the limit of manifests', 'PUT', later('/v2/body/x/manifests/v1'), 413],
  ]
  for (const [name, method, path, status] of cases) {
    test(`gets the answer, and the connection ends: ${name}`, async () => {
      const target = await path()
      using connection = await RawConnection.open(registry.url)
      connection.writeHead(method, target, {
        ...(status !== 401 && { Authorization: authorization }),
        'Content-Length': String(large.length),
      })
      await sendAll(connection, large)
      await refusedReply(connection, status)
    })

    test(`gets the answer, and the connection ends, even without a length: ${name}`, async () => {
      const target = await path()
      using connection = await RawConnection.open(registry.url)
      connection.writeHead(method, target, {
        ...(status !== 401 && { Authorization: authorization }),
        'Transfer-Encoding': 'chunked',
      })
      connection.write(`${large.length.toString(16)}\r\n`)
      await sendAll(connection, large)
      connection.write('\r\n0\r\n\r\n')
      await refusedReply(connection, status)
    })
  }

  test('a small one is read, and the connection goes on', async () => {
    using connection = await RawConnection.open(registry.url)
    for (let round = 0; round < 3; round += 1) {
      connection.writeHead('PUT', '/v2/body/x/manifests/-tag', {
        Authorization: authorization,
        'Content-Length': '100000',
      })
      connection.write(large.subarray(0, 100_000))
      assert.equal((await connection.readReply()).status, 400)
    }
    connection.writeHead('GET', '/v2/', { Authorization: authorization })
    assert.equal((await connection.readReply()).status, 200)
  })

  test('one that never ends does not hold its connection for ever', async () => {
    using connection = await RawConnection.open(registry.url)
    connection.writeHead('PUT', '/nothing', { 'Content-Length': String(1 << 30) })
    assert.equal((await connection.readReply()).status, 404)
    let sent = 0
    while (sent < 1 << 30 && (await sendAll(connection, large))) sent += large.length
    assert.ok(sent < 1 << 28, `${sent} bytes were taken`)
  })
})
