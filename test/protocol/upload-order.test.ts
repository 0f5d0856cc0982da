/**
 * Chunks that come out of order, with headers that contradict them, or two at a time: the session
 * says where it is (416 with Range and Location), stays usable, and its bytes are right at the end.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { assertError, makeBlob, startSession, withDigest } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry[Symbol.asyncDispose]())

const { bytes, digest } = makeBlob('ordered', 300)

function assertWhere(reply: Reply, location: string, range: string): void {
  assertError(reply, 416, 'RANGE_INVALID')
  assert.equal(reply.header('range'), range)
  assert.equal(reply.header('location'), location)
  assert.equal(reply.header('docker-upload-uuid'), location.split('/').at(-1))
}

/** A session that has the first 100 bytes. */
async function sessionOf100(repository: string): Promise<string> {
  const location = await startSession(registry, repository)
  const reply = await registry.request('PATCH', location, { body: bytes.subarray(0, 100) })
  assert.equal(reply.status, 202)
  return location
}

async function finish(repository: string, location: string, from: number): Promise<void> {
  const headers = { 'content-range': `${from}-299` }
  const rest = { body: bytes.subarray(from), headers }
  const put = await registry.request('PUT', withDigest(location, digest), rest)
  assert.equal(put.status, 201, put.body.toString())
  const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
  assert.ok(got.body.equals(bytes))
}

describe('a chunk out of order', () => {
  const cases: [name: string, start: number, end: number][] = [
    ['one that skips bytes', 200, 299],
    ['one that overlaps', 50, 149],
    ['one that was sent already', 0, 99],
  ]
  for (const method of ['PATCH', 'PUT']) {
    for (const [name, start, end] of cases) {
      test(`is refused with the place to go on at, by ${method}: ${name}`, async () => {
        const location = await sessionOf100('order/skip')
        const chunk = {
          body: bytes.subarray(start, end + 1),
          headers: { 'content-range': `${start}-${end}` },
        }
        const target = method === 'PUT' ? withDigest(location, digest) : location
        assertWhere(await registry.request(method, target, chunk), location, '0-99')
        assert.equal((await registry.request('GET', location)).header('range'), '0-99')
        await finish('order/skip', location, 100)
      })
    }
  }

  test('is refused when it is the first and does not begin at 0', async () => {
    const location = await startSession(registry, 'order/first')
    const chunk = { body: bytes.subarray(10), headers: { 'content-range': '10-299' } }
    assertWhere(await registry.request('PATCH', location, chunk), location, '0-0')
    await finish('order/first', location, 0)
  })
})

describe('a chunk whose headers contradict it', () => {
  const half = bytes.subarray(100, 200)

  test('is refused when Content-Length is not the length of Content-Range', async () => {
    const location = await sessionOf100('order/length')
    const chunk = { body: half, headers: { 'content-range': '100-150' } }
    assertError(await registry.request('PATCH', location, chunk), 400, 'SIZE_INVALID')
    assert.equal((await registry.request('GET', location)).header('range'), '0-99')
    await finish('order/length', location, 100)
  })

  for (const [name, range] of [
    ['more', '100-150'],
    ['fewer', '100-250'],
  ] as const) {
    test(`is refused when a body without length has ${name} bytes than announced`, async () => {
      const location = await sessionOf100('order/unknown')
      async function* body(): AsyncGenerator<Buffer> {
        yield await Promise.resolve(half)
      }
      const chunk = { body: body(), headers: { 'content-range': range } }
      assertError(await registry.request('PATCH', location, chunk), 400, 'SIZE_INVALID')
      assert.equal((await registry.request('GET', location)).header('range'), '0-99')
      await finish('order/unknown', location, 100)
    })
  }

  for (const range of ['abc', '100-', '-200', '200-100', '100', 'items 100-199']) {
    test(`is refused when the Content-Range says nothing: ${range}`, async () => {
      const location = await sessionOf100('order/nonsense')
      const chunk = { body: half, headers: { 'content-range': range } }
      assertError(await registry.request('PATCH', location, chunk), 400, 'BLOB_UPLOAD_INVALID')
      await finish('order/nonsense', location, 100)
    })
  }
})

/** A PATCH of 200 bytes at byte 100 that is being served, half of its body not sent yet. */
async function halfPatch(location: string): Promise<RawConnection> {
  const connection = await RawConnection.open(registry.url)
  const headers = { 'Content-Length': '200', Expect: '100-continue' }
  connection.writeHead('PATCH', location, headers)
  assert.equal((await connection.readHead()).status, 100)
  connection.write(bytes.subarray(100, 200))
  return connection
}

describe('while a PATCH is running', () => {
  const others: [name: string, send: (location: string) => Promise<Reply>][] = [
    ['another PATCH', (location) => registry.request('PATCH', location, { body: 'other' })],
    ['a PUT', (location) => registry.request('PUT', withDigest(location, digest))],
    [
      'a PUT with bytes',
      (location) =>
        registry.request('PUT', withDigest(location, digest), { body: bytes.subarray(100) }),
    ],
    ['a DELETE', (location) => registry.request('DELETE', location)],
  ]
  for (const [name, send] of others) {
    test(`${name} is turned away with 416, and the PATCH goes on`, async () => {
      const location = await sessionOf100('order/busy')
      using connection = await halfPatch(location)
      assertWhere(await send(location), location, '0-99')
      connection.write(bytes.subarray(200))
      const reply = await connection.readReply()
      assert.equal(reply.status, 202)
      assert.equal(reply.header('range'), '0-299')
      const put = await registry.request('PUT', withDigest(location, digest))
      assert.equal(put.status, 201)
      const got = await registry.request('GET', `/v2/order/busy/blobs/${digest}`)
      assert.ok(got.body.equals(bytes))
    })
  }

  test('GET tells what is durable so far', async () => {
    const location = await sessionOf100('order/busy')
    using connection = await halfPatch(location)
    assert.equal((await registry.request('GET', location)).header('range'), '0-99')
    connection.write(bytes.subarray(200))
    assert.equal((await connection.readReply()).status, 202)
  })
})

test('of many PATCHes at once exactly one wins, the others are told 416, the content is right', async () => {
  for (let round = 0; round < 10; round += 1) {
    const location = await startSession(registry, 'order/race')
    const headers = { 'content-range': '0-299' }
    const patches = Array.from({ length: 6 }, () =>
      registry.request('PATCH', location, { body: bytes, headers }),
    )
    const statuses = (await Promise.all(patches)).map(({ status }) => status)
    assert.deepEqual(
      statuses.sort((one, other) => one - other),
      [202, 416, 416, 416, 416, 416],
    )
    const put = await registry.request('PUT', withDigest(location, digest))
    assert.equal(put.status, 201)
  }
})

test('of many PUTs at once one makes the blob, the others fail, the content is right', async () => {
  for (let round = 0; round < 10; round += 1) {
    const repository = `order/puts-${round}`
    const location = await startSession(registry, repository)
    const puts = Array.from({ length: 6 }, () =>
      registry.request('PUT', withDigest(location, digest), { body: bytes }),
    )
    const statuses = (await Promise.all(puts)).map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 201).length, 1, statuses.join())
    assert.ok(
      statuses.every((status) => [201, 404, 416].includes(status)),
      statuses.join(),
    )
    const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
    assert.ok(got.body.equals(bytes))
  }
})
