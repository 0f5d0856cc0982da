/**
 * Pushes that break off: the session stays at its last durable offset and goes on from there, after a
 * cut connection, a restart, or a killed server; idle sessions go.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pseudoRandomBytes, sha256Digest } from '../support/image-fixture.ts'
import { assertError, makeBlob, startSession, withDigest } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const size = 5_000_000
const bytes = pseudoRandomBytes('interrupted', size)
const digest = sha256Digest(bytes)

/** Begins a PATCH or PUT of all of `bytes` and sends the first `count` of them. */
async function sendPart(
  registry: Registry,
  method: string,
  path: string,
  count: number,
): Promise<RawConnection> {
  const connection = await RawConnection.open(registry.url)
  const headers = { 'Content-Length': String(size), Expect: '100-continue' }
  connection.writeHead(method, path, headers)
  assert.equal((await connection.readHead()).status, 100)
  connection.write(bytes.subarray(0, count))
  await connection.flushed()
  return connection
}

/** Bytes that the session has, as it says itself. */
async function offsetOf(registry: Registry, location: string): Promise<number> {
  const status = await registry.request('GET', location)
  assert.equal(status.status, 204, status.body.toString())
  const end = Number(status.header('range').split('-')[1])
  return end === 0 ? 0 : end + 1
}

async function resume(registry: Registry, location: string, from: number): Promise<void> {
  const headers = { 'content-range': `${from}-${size - 1}` }
  const rest = { body: bytes.subarray(from), headers }
  const patch = await registry.request('PATCH', location, rest)
  assert.equal(patch.status, 202, patch.body.toString())
  const put = await registry.request('PUT', withDigest(location, digest))
  assert.equal(put.status, 201, put.body.toString())
  const repository = location.split('/').slice(2, -3).join('/')
  const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
  assert.ok(got.body.equals(bytes))
}

/** What node holds of a body that nobody has read yet is lost with its connection. */
const unreadBytesMax = 256 * 1024

describe('a connection that is cut', () => {
  let registry: Registry
  before(async () => {
    registry = await startRegistry()
  })
  after(() => registry[Symbol.asyncDispose]())

  /** Ends the connection, and waits until the registry is done with its request. */
  async function end(connection: RawConnection, how: 'orderly' | 'reset'): Promise<void> {
    const known = registry.logLength
    if (how === 'reset') connection.cut()
    else connection.socket.end()
    await registry.logged(({ status }) => status === 499, known)
    connection[Symbol.dispose]()
  }

  for (const count of [1, 1000, 600_000, 3_000_001]) {
    test(`${count} bytes into a PATCH leaves the session at what was read, and it goes on`, async () => {
      const location = await startSession(registry, `cut/patch-${count}`)
      await end(await sendPart(registry, 'PATCH', location, count), 'orderly')
      const offset = await offsetOf(registry, location)
      assert.ok(offset <= count && offset >= count - unreadBytesMax, String(offset))
      // `0-0` says nothing and one byte alike: a client starts over from there.
      await resume(registry, location, offset === 0 ? await startOver(location) : offset)
    })
  }

  /** Where a session is whose first byte may be there or not. */
  async function startOver(location: string): Promise<number> {
    const probe = { body: bytes.subarray(0, 1), headers: { 'content-range': '0-0' } }
    const { status } = await registry.request('PATCH', location, probe)
    assert.ok(status === 202 || status === 416)
    return 1
  }

  test('by a reset leaves the session at some durable offset, and it goes on', async () => {
    const location = await startSession(registry, 'cut/reset')
    await end(await sendPart(registry, 'PATCH', location, 3_000_000), 'reset')
    const offset = await offsetOf(registry, location)
    assert.ok(offset <= 3_000_000)
    await resume(registry, location, offset)
  })

  test('in the middle of a chunked body is no whole body', async () => {
    const location = await startSession(registry, 'cut/chunked')
    const connection = await RawConnection.open(registry.url)
    const part = sha256Digest(bytes.subarray(0, 1000))
    connection.writeHead('PUT', withDigest(location, part), {
      'Transfer-Encoding': 'chunked',
      Expect: '100-continue',
    })
    assert.equal((await connection.readHead()).status, 100)
    connection.writeChunk(bytes.subarray(0, 1000))
    await connection.flushed()
    await end(connection, 'orderly')
    const found = await registry.request('GET', `/v2/cut/chunked/blobs/${part}`)
    assertError(found, 404, 'BLOB_UNKNOWN')
    await resume(registry, location, await offsetOf(registry, location))
  })

  test('several times in a row: the blob is put together from all of it', async () => {
    const location = await startSession(registry, 'cut/often')
    let offset = 0
    for (const count of [700_000, 1_000_000, 1_500_000]) {
      const connection = await RawConnection.open(registry.url)
      const headers = { 'Content-Length': String(size - offset), Expect: '100-continue' }
      connection.writeHead('PATCH', location, headers)
      assert.equal((await connection.readHead()).status, 100)
      connection.write(bytes.subarray(offset, offset + count))
      await connection.flushed()
      await end(connection, 'orderly')
      const reached = await offsetOf(registry, location)
      assert.ok(reached > offset)
      offset = reached
    }
    await resume(registry, location, offset)
  })

  test('in a PUT makes no blob, and the session goes on', async () => {
    const location = await startSession(registry, 'cut/put')
    const target = withDigest(location, digest)
    await end(await sendPart(registry, 'PUT', target, 2_000_000), 'orderly')
    const head = await registry.request('HEAD', `/v2/cut/put/blobs/${digest}`)
    assert.equal(head.status, 404)
    const offset = await offsetOf(registry, location)
    assert.ok(offset > 0)
    await resume(registry, location, offset)
  })

  test('in a single POST leaves nothing', async () => {
    const uploads = join(registry.dataDirectory, 'uploads')
    const known = await readdir(uploads)
    const path = `/v2/cut/post/blobs/uploads/?digest=${digest}`
    const connection = await sendPart(registry, 'POST', path, 2_000_000)
    assert.equal((await readdir(uploads)).length, known.length + 1)
    await end(connection, 'orderly')
    assert.deepEqual(await readdir(uploads), known)
    const head = await registry.request('HEAD', `/v2/cut/post/blobs/${digest}`)
    assert.equal(head.status, 404)
  })
})

describe('a session', () => {
  for (const end of ['stopped', 'killed'] as const) {
    test(`goes on after the server was ${end} between two chunks`, async () => {
      await using registry = await startRegistry()
      const location = await startSession(registry, 'restart/between', '?digest-algorithm=sha256')
      const first = bytes.subarray(0, 1_234_567)
      assert.equal((await registry.request('PATCH', location, { body: first })).status, 202)
      if (end === 'killed') await registry.kill()
      await registry.restart()
      assert.equal(await offsetOf(registry, location), first.length)
      await resume(registry, location, first.length)
    })

    test(`that is cancelled after the server was ${end} leaves nothing`, async () => {
      await using registry = await startRegistry()
      const location = await startSession(registry, 'restart/cancel')
      await registry.request('PATCH', location, { body: bytes })
      if (end === 'killed') await registry.kill()
      await registry.restart()
      assert.equal((await registry.request('DELETE', location)).status, 204)
      assert.deepEqual(await readdir(join(registry.dataDirectory, 'uploads')), [])
    })
  }

  test('is at its last durable offset after the server was killed in a PATCH', async () => {
    await using registry = await startRegistry()
    const location = await startSession(registry, 'restart/within')
    const first = bytes.subarray(0, 100_000)
    await registry.request('PATCH', location, { body: first })
    const connection = await RawConnection.open(registry.url)
    const headers = { 'Content-Length': String(size - first.length), Expect: '100-continue' }
    connection.writeHead('PATCH', location, headers)
    assert.equal((await connection.readHead()).status, 100)
    connection.write(bytes.subarray(first.length, 4_000_000))
    await connection.flushed()
    await registry.kill()
    connection.cut()
    await registry.restart()
    const offset = await offsetOf(registry, location)
    assert.ok(offset >= first.length && offset <= 4_000_000, String(offset))
    await resume(registry, location, offset)
  })

  test('with a digest that is wrong is found out after a restart too', async () => {
    await using registry = await startRegistry()
    const location = await startSession(registry, 'restart/wrong')
    await registry.request('PATCH', location, { body: bytes })
    await registry.kill()
    await registry.restart()
    const { digest: other } = makeBlob('other')
    assertError(await registry.request('PUT', withDigest(location, other)), 400, 'DIGEST_INVALID')
    assert.equal((await registry.request('GET', location)).status, 404)
  })
})

test('bytes that belong to no session are removed at the start', async () => {
  await using registry = await startRegistry()
  const path = `/v2/restart/post/blobs/uploads/?digest=${digest}`
  const connection = await sendPart(registry, 'POST', path, 2_000_000)
  const uploads = join(registry.dataDirectory, 'uploads')
  assert.equal((await readdir(uploads)).length, 1)
  await registry.kill()
  connection.cut()
  assert.equal((await readdir(uploads)).length, 1)
  await registry.restart()
  assert.deepEqual(await readdir(uploads), [])
})
