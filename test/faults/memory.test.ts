// What one client, or thousands of slow ones, can make the registry hold: each of these took a
// gigabyte once, or more. The bounds here are far over what is needed and far under what it was.

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import {
  assertError,
  type Blob,
  makeBlob,
  ociManifest,
  startSession,
} from '../support/push-steps.ts'
import { peakGrowthMiB } from '../support/process-memory.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const MiB = 1 << 20
const skip = process.platform !== 'linux' && 'memory is read from /proc'
const chunked = { 'Transfer-Encoding': 'chunked' }

/** Ten thousand bytes of a body, each in a chunk of its own. */
const tinyChunks = Buffer.from('1\r\nx\r\n'.repeat(10_000))

let registry: Registry
let blob: Blob
const open: RawConnection[] = []
before(async () => {
  registry = await startRegistry()
  blob = makeBlob('memory', 16 * MiB)
  await registry.pushBlob('memory/any', blob)
})
after(() => registry[Symbol.asyncDispose]())
afterEach(() => {
  for (const connection of open.splice(0)) connection.cut()
})

async function connect(): Promise<RawConnection> {
  const connection = await RawConnection.open(registry.url)
  open.push(connection)
  return connection
}

function writeAll(connection: RawConnection, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => connection.socket.write(bytes, () => resolve()))
}

async function requestsInFlight(): Promise<number> {
  const { body } = await registry.request('GET', '/metrics')
  return Number(/^trow_http_requests_in_flight (\d+)$/m.exec(body.toString())?.[1])
}

async function assertBounded(work: () => Promise<void>, growthMiBMax = 180): Promise<void> {
  const grown = await peakGrowthMiB(registry.pid, async () => {
    await work()
    assert.equal((await registry.request('GET', '/v2/')).status, 200)
  })
  assert.ok(grown < growthMiBMax, `${grown} MiB more`)
}

describe('memory is not held', { skip }, () => {
  test('by a manifest that comes byte by byte', async () => {
    await assertBounded(async () => {
      const connection = await connect()
      const headers = { ...chunked, 'Content-Type': ociManifest }
      connection.writeHead('PUT', '/v2/memory/any/manifests/tiny', headers)
      for (let round = 0; round < 120; round += 1) await writeAll(connection, tinyChunks)
      connection.write('0\r\n\r\n')
      assertError(await connection.readReply(), 400, 'MANIFEST_INVALID')
    })
  })

  test('by uploads that come byte by byte', async () => {
    await assertBounded(async () => {
      for (let number = 0; number < 8; number += 1) {
        const location = await startSession(registry, 'memory/any')
        const connection = await connect()
        connection.writeHead('PATCH', location, chunked)
        for (let round = 0; round < 20; round += 1) await writeAll(connection, tinyChunks)
      }
    })
  })

  test('by a body that nobody asked for, beside a download that nobody reads', async () => {
    await assertBounded(async () => {
      for (let number = 0; number < 40; number += 1) {
        const connection = await connect()
        connection.writeHead('GET', `/v2/memory/any/blobs/${blob.digest}`, chunked)
        for (let round = 0; round < 10; round += 1) connection.write(tinyChunks)
      }
      await until('all are served', async () => (await requestsInFlight()) > 40)
    })
  })

  test('by requests that are sent ahead', async () => {
    await assertBounded(async () => {
      const connection = await connect()
      for (let number = 0; number < 60; number += 1) {
        connection.writeHead('GET', `/v2/memory/any/blobs/${blob.digest}`)
      }
      assert.equal((await connection.readHead()).status, 200)
      assert.ok((await connection.readBytes(blob.bytes.length)).equals(blob.bytes))
      assert.ok((await connection.readReply()).body.equals(blob.bytes))
    }, 60)
  })

  test('by a client that sends more of them ahead than anybody would: it is cut off', async () => {
    using connection = await RawConnection.open(registry.url)
    const one = `GET /v2/memory/any/blobs/${blob.digest} HTTP/1.1\r\nHost: a\r\n\r\n`
    connection.write(one.repeat(500))
    const received = await connection.readToEnd()
    assert.ok(received.length < 20 * MiB)
  })

  test('by downloads that nobody reads', async () => {
    await assertBounded(async () => {
      for (let number = 0; number < 150; number += 1) {
        const connection = await connect()
        connection.writeHead('GET', `/v2/memory/any/blobs/${blob.digest}`)
      }
      await until('all are served', async () => (await requestsInFlight()) > 150)
      // And one that is read is as whole as ever.
      const path = `/v2/memory/any/blobs/${blob.digest}`
      assert.ok((await registry.request('GET', path)).body.equals(blob.bytes))
    })
  })

  test('by uploads that stop in the middle', async () => {
    await assertBounded(async () => {
      for (let number = 0; number < 150; number += 1) {
        const location = await startSession(registry, 'memory/any')
        const connection = await connect()
        connection.writeHead('PATCH', location, { 'Content-Length': String(MiB) })
        await writeAll(connection, blob.bytes.subarray(0, 500_000))
      }
      await until('all are served', async () => (await requestsInFlight()) > 150)
    })
  })
})
