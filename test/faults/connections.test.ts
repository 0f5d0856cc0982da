// Clients that vanish at every point of a push and of a pull, and thousands that are there and say
// nothing: nothing unverified is left, nothing acknowledged is lost, nothing stays open, and the
// others are served.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  type Blob,
  makeBlob,
  makeManifest,
  pushConfig,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { openDescriptors } from '../support/open-descriptors.ts'
import { residentBytes } from '../support/process-memory.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const repository = 'gone/any'
const skip = process.platform !== 'linux' && 'descriptors are read from /proc'

let registry: Registry
let kept: Blob
before(async () => {
  registry = await startRegistry()
  kept = makeBlob('kept', 4 << 20)
  await registry.pushBlob(repository, kept)
})
after(() => registry[Symbol.asyncDispose]())

async function requestsInFlight(): Promise<number> {
  const { body } = await registry.request('GET', '/metrics')
  return Number(/^trow_http_requests_in_flight (\d+)$/m.exec(body.toString())?.[1])
}

/** Connections and files, but for those that this test itself has open. */
async function countOpen(): Promise<number> {
  const open = await openDescriptors(registry.pid)
  return open.filter((target) => /^socket:|\/(?:uploads|blobs)\//.test(target)).length
}

async function isQuiet(openBefore: number): Promise<void> {
  await until('nothing is under way', async () => (await requestsInFlight()) === 1)
  await until('nothing stays open', async () => (await countOpen()) <= openBefore)
}

function head(method: string, path: string, headers: readonly string[]): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: a', ...headers, '', ''].join('\r\n')
}

/** All that a client would send; it goes away somewhere in it. */
interface Sending {
  readonly name: string
  readonly bytes: Buffer
  /** Where it goes away: everywhere something else may go wrong. */
  readonly ends: readonly number[]
}

function sending(name: string, request: string, body: Buffer): Sending {
  const bytes = Buffer.concat([Buffer.from(request), body])
  const half = request.length + (body.length >> 1)
  const ends = [0, 1, 20, request.length - 2, request.length, request.length + 1, half]
  return { name, bytes, ends: [...new Set([...ends, bytes.length - 1, bytes.length])] }
}

function inChunks(body: Buffer): Buffer {
  const middle = body.length >> 1
  const parts = [body.subarray(0, middle), body.subarray(middle)]
  const framed = parts.flatMap((part) => [`${part.length.toString(16)}\r\n`, part, '\r\n'])
  return Buffer.concat([...framed, '0\r\n\r\n'].map((part) => Buffer.from(part)))
}

async function sendings(blob: Blob): Promise<Sending[]> {
  const { bytes, digest } = blob
  const length = `Content-Length: ${bytes.length}`
  const chunked = 'Transfer-Encoding: chunked'
  const whole = `/v2/${repository}/blobs/uploads/?digest=${digest}`
  const sessions = await Promise.all([1, 2, 3].map(() => startSession(registry, repository)))
  const [patched = '', inPieces = '', completed = ''] = sessions
  const config = await pushConfig(registry, repository)
  const manifest = makeManifest({ config, layers: [], annotations: { of: digest } })
  const tag = `/v2/${repository}/manifests/gone`
  const type = `Content-Type: ${manifest.mediaType}`
  const manifestLength = `Content-Length: ${manifest.bytes.length}`
  const put = withDigest(completed, digest)
  return [
    sending('a blob in one POST', head('POST', whole, [length]), bytes),
    sending('a blob in one POST in chunks', head('POST', whole, [chunked]), inChunks(bytes)),
    sending('a PATCH', head('PATCH', patched, [length]), bytes),
    sending('a PATCH in chunks', head('PATCH', inPieces, [chunked]), inChunks(bytes)),
    sending('the last PUT', head('PUT', put, [length]), bytes),
    sending('a manifest', head('PUT', tag, [type, manifestLength]), manifest.bytes),
  ]
}

describe('a client that pushes and vanishes', { skip }, () => {
  for (const how of ['orderly', 'with a reset'] as const) {
    test(`${how}, at any point, leaves what was acknowledged and nothing else`, async () => {
      const blob = makeBlob(`gone ${how}`, 700_000)
      const all = await sendings(blob)
      const openBefore = await countOpen()
      for (const { name, bytes, ends } of all) {
        for (const end of ends) {
          const connection = await RawConnection.open(registry.url)
          connection.write(bytes.subarray(0, end))
          await connection.flushed()
          if (how === 'orderly') connection.socket.destroySoon()
          else connection.cut()
          if (end < bytes.length) continue
          // All of it was sent: it may count, and then it is right.
          await isQuiet(openBefore)
        }
        const path = `/v2/${repository}/blobs/${blob.digest}`
        const got = await registry.request('GET', path)
        assert.ok(got.status === 404 || got.body.equals(blob.bytes), `${name}: ${got.status}`)
        if (got.status === 200) assert.equal((await registry.request('DELETE', path)).status, 202)
      }
      await isQuiet(openBefore)
      const errors = registry.logs().filter(({ level }) => level === 'error')
      assert.deepEqual(errors, [])
    })
  }

  test('leaves nothing staged but what its sessions can go on with', async () => {
    const staged = await readdir(join(registry.dataDirectory, 'uploads'))
    for (const id of staged) {
      const location = `/v2/${repository}/blobs/uploads/${id}`
      assert.equal((await registry.request('DELETE', location)).status, 204, id)
    }
    assert.deepEqual(await readdir(join(registry.dataDirectory, 'uploads')), [])
  })
})

describe('a client that pulls and vanishes', { skip }, () => {
  for (const how of ['orderly', 'with a reset'] as const) {
    test(`${how}, at any point, leaves nothing open`, async () => {
      await registry.request('GET', '/v2/')
      const openBefore = await countOpen()
      const path = `/v2/${repository}/blobs/${kept.digest}`
      const counts = [0, 1, 100_000, kept.bytes.length - 1, kept.bytes.length]
      for (const headers of [{}, { Range: 'bytes=5-' }, { Range: 'bytes=0-9,20-2000000' }]) {
        for (const count of [-2, -1, ...counts]) {
          const connection = await RawConnection.open(registry.url)
          connection.writeHead('GET', path, headers)
          // Nor does a client that has sent the next request already wait for ever.
          if (count === 1) connection.writeHead('GET', path)
          await connection.flushed()
          if (count > -2) await connection.readHead()
          if (count > 0) await connection.readBytes(Math.min(count, 1_900_000))
          if (how === 'orderly') connection.socket.destroy()
          else connection.cut()
        }
      }
      await isQuiet(openBefore)
    })
  }
})

describe('two thousand clients that say nothing', { skip }, () => {
  test('cost little, keep nobody from being served, and are forgotten', async () => {
    const idle = 2_000
    await registry.request('GET', '/v2/')
    const openBefore = await countOpen()
    const memoryBefore = residentBytes(registry.pid)
    const connections: RawConnection[] = []
    for (let number = 0; number < idle; number += 100) {
      const some = Array.from({ length: 100 }, () => RawConnection.open(registry.url))
      connections.push(...(await Promise.all(some)))
    }
    // Some have begun, some have been served once.
    for (const [number, connection] of connections.entries()) {
      if (number % 4 === 1) connection.write('GET /v2/ HT')
      if (number % 4 === 2) connection.writeHead('GET', '/v2/')
    }
    await until('all are there', async () => (await countOpen()) >= openBefore + idle)
    const path = `/v2/${repository}/blobs/${kept.digest}`
    const started = performance.now()
    assert.ok((await registry.request('GET', path)).body.equals(kept.bytes))
    assert.ok(performance.now() - started < 10_000)
    const grown = (residentBytes(registry.pid) - memoryBefore) >> 20
    assert.ok(grown < 150, `${grown} MiB more`)
    for (const connection of connections) connection.cut()
    await isQuiet(openBefore)
  })
})
