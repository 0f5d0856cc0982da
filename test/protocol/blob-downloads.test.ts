/**
 * A large blob on its way: byte for byte to slow readers and to many at once, and nothing lost or
 * left open when one of them goes away.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { openDescriptors } from '../support/open-descriptors.ts'
import { makeBlob, makeManifest, pushConfig } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

let registry: Registry
const size = 64 << 20
const blob = makeBlob('large', size)
const path = `/v2/large/blob/blobs/${blob.digest}`

before(async () => {
  registry = await startRegistry()
  await registry.pushBlob('large/blob', blob)
})
after(() => registry[Symbol.asyncDispose]())

async function startDownload(): Promise<RawConnection> {
  const connection = await RawConnection.open(registry.url)
  connection.writeHead('GET', path)
  const head = await connection.readHead()
  assert.equal(head.status, 200)
  assert.equal(head.headers['content-length'], String(size))
  return connection
}

/** Reads what is left in bites, with a pause of the event loop's after each; its digest. */
async function digestOf(connection: RawConnection, bite: number, pause = false): Promise<string> {
  const hash = createHash('sha256')
  for (let left = size; left > 0; left -= bite) {
    hash.update(await connection.readBytes(Math.min(bite, left)))
    if (pause) await turn()
  }
  return `sha256:${hash.digest('hex')}`
}

describe('a large blob arrives byte for byte', () => {
  test('at a client', async () => {
    const reply = await registry.request('GET', path)
    assert.ok(reply.body.equals(blob.bytes))
  })

  test('at one that reads in small bites', async () => {
    using connection = await startDownload()
    assert.equal(await digestOf(connection, 50_000, true), blob.digest)
  })

  test('at several that read at once, each at its own pace', async () => {
    const bites = [30_000, 100_000, 333_333, 1 << 20, 3 << 20, 1_000_003]
    const digests = bites.map(async (bite, index) => {
      using connection = await startDownload()
      return await digestOf(connection, bite, index % 2 === 0)
    })
    assert.deepEqual([...new Set(await Promise.all(digests))], [blob.digest])
  })

  test('at one that stops reading for a while, when others go on meanwhile', async () => {
    using slow = await startDownload()
    const first = await slow.readBytes(1000)
    assert.ok(first.equals(blob.bytes.subarray(0, 1000)))
    const others = Array.from({ length: 3 }, () => registry.request('GET', path))
    for (const reply of await Promise.all(others)) assert.ok(reply.body.equals(blob.bytes))
    const rest = await slow.readBytes(size - 1000)
    assert.ok(rest.equals(blob.bytes.subarray(1000)))
  })
})

describe('a client that goes away in the middle', () => {
  test('hurts no other', async () => {
    using other = await startDownload()
    await other.readBytes(100)
    for (let round = 0; round < 5; round += 1) {
      const connection = await startDownload()
      await connection.readBytes(200_000)
      connection.cut()
    }
    const rest = await other.readBytes(size - 100)
    assert.ok(rest.equals(blob.bytes.subarray(100)))
  })

  test('is logged as gone, whenever it goes, and is no error', async () => {
    for (let round = 0; round < 20; round += 1) {
      const known = registry.logLength
      const connection = await startDownload()
      await connection.readBytes(100 * round ** 3)
      connection.cut()
      const line = await registry.logged(({ status }) => status === 499, known)
      assert.equal(line['route'], 'blob')
    }
    const levels = registry.logs().map((line) => line['level'])
    assert.ok(!levels.includes('error') && !levels.includes('warn'))
  })

  test('before the answer is logged too, and no request stays in flight', async () => {
    const manifest = makeManifest({ config: await pushConfig(registry, 'large/blob'), layers: [] })
    for (let round = 0; round < 20; round += 1) {
      const known = registry.logLength
      const connection = await RawConnection.open(registry.url)
      const headers = { 'Content-Length': String(manifest.bytes.length) }
      connection.writeHead('PUT', '/v2/large/blob/manifests/v1', headers)
      connection.write(manifest.bytes)
      await connection.flushed()
      connection.cut()
      await registry.logged(({ route }) => route === 'manifest', known)
    }
    const metrics = await registry.request('GET', '/metrics')
    assert.match(metrics.body.toString(), /^trow_http_requests_in_flight 1$/m)
  })

  const options = existsSync('/proc/self/fd') ? {} : { skip: 'needs /proc' }
  test('leaves no descriptor open', options, async () => {
    const idle = await openDescriptors(registry.pid)
    for (let round = 0; round < 20; round += 1) {
      const connection = await startDownload()
      await connection.readBytes(round * 10_000)
      if (round % 2 === 0) connection.cut()
      else connection[Symbol.dispose]()
    }
    await until('as many descriptors are open as before', async () => {
      const open = await openDescriptors(registry.pid)
      return !open.some((target) => target.includes('/blobs/')) && open.length <= idle.length
    })
  })
})
