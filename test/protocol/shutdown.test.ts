/**
 * The end of the process: after SIGTERM nothing new is taken, what is under way is finished, within
 * bounds, and the exit code is 0; a second signal is obeyed at once.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Gate, holding } from '../support/fake-upstream-behaviours.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { Scene } from '../support/pull-through.ts'
import {
  makeBlob,
  makeManifest,
  pushConfig,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const blob = makeBlob('shutdown', 32 << 20)
const path = `/v2/end/blob/blobs/${blob.digest}`

/** A download whose first bytes have been read; the rest waits. */
async function startDownload(registry: Registry): Promise<RawConnection> {
  const connection = await RawConnection.open(registry.url)
  connection.writeHead('GET', path)
  assert.equal((await connection.readHead()).status, 200)
  await connection.readBytes(1000)
  return connection
}

/** An upload that has sent its first half. */
async function startPush(registry: Registry): Promise<RawConnection> {
  const location = await startSession(registry, 'end/push')
  const connection = await RawConnection.open(registry.url)
  connection.writeHead('PUT', withDigest(location, blob.digest), {
    'Content-Length': String(blob.bytes.length),
    Expect: '100-continue',
  })
  assert.equal((await connection.readHead()).status, 100)
  connection.write(blob.bytes.subarray(0, 1 << 20))
  await connection.flushed()
  return connection
}

function isStopping(registry: Registry): Promise<unknown> {
  return registry.logged(({ msg }) => msg.startsWith('stopping'))
}

async function isRefused(registry: Registry): Promise<boolean> {
  try {
    using _connection = await RawConnection.open(registry.url)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  describe(`after ${signal}`, () => {
    test('requests under way are finished, new ones are not taken, the exit code is 0', async () => {
      await using registry = await startRegistry()
      await registry.pushBlob('end/blob', blob)
      using download = await startDownload(registry)
      using push = await startPush(registry)
      registry.signal(signal)
      await isStopping(registry)

      await until('nothing new is taken', () => isRefused(registry))
      // A request on a connection that is busy is still read: it is told that this is the end.
      download.writeHead('GET', '/readiness')
      const rest = await download.readBytes(blob.bytes.length - 1000)
      assert.ok(rest.equals(blob.bytes.subarray(1000)))
      const probe = await download.readReply()
      assert.equal(probe.status, 503)
      assert.deepEqual(probe.json(), { is_ready: false, message: 'shutting down' })

      push.write(blob.bytes.subarray(1 << 20))
      const pushed = await push.readReply()
      assert.equal(pushed.status, 201)
      const started = performance.now()
      assert.equal(await registry.exit, 0)
      // Not at the end of the grace period: connections that are done do not hold it up.
      assert.ok(performance.now() - started < 10_000)

      await registry.start()
      const got = await registry.request('GET', pushed.header('location'))
      assert.ok(got.body.equals(blob.bytes))
    })
  })
}

test('answers that were given but not read yet are not cut off', async () => {
  await using registry = await startRegistry()
  const config = await pushConfig(registry, 'end/manifest')
  const annotations = { filler: 'x'.repeat(4_000_000) }
  const manifest = makeManifest({ config, layers: [], annotations })
  await registry.pushManifest('end/manifest', 'v1', manifest)
  // More than the system's buffers take: some of it is still with the process.
  const count = 6
  using slow = await RawConnection.open(registry.url)
  for (let sent = 0; sent < count; sent += 1) slow.writeHead('GET', '/v2/end/manifest/manifests/v1')
  assert.equal((await slow.readHead()).status, 200)
  using other = await RawConnection.open(registry.url)
  other.writeHead('GET', '/v2/')
  registry.signal('SIGTERM')
  await isStopping(registry)
  await other.readToEnd()
  assert.ok((await slow.readBytes(manifest.bytes.length)).equals(manifest.bytes))
  for (let read = 1; read < count; read += 1) {
    assert.ok((await slow.readReply()).body.equals(manifest.bytes))
  }
  assert.equal(await registry.exit, 0)
})

test('connections that are kept open but idle are closed at once', async () => {
  await using registry = await startRegistry()
  using idle = await RawConnection.open(registry.url)
  idle.writeHead('GET', '/v2/')
  assert.equal((await idle.readReply()).status, 200)
  using silent = await RawConnection.open(registry.url)
  const started = performance.now()
  registry.signal('SIGTERM')
  assert.equal(await registry.exit, 0)
  assert.ok(performance.now() - started < 10_000)
  assert.equal((await idle.readToEnd()).length, 0)
  assert.equal((await silent.readToEnd()).length, 0)
})

test('who is not done within the grace period is cut off, and the exit code is 0', async () => {
  await using registry = await startRegistry({ config: 'shutdown_grace: 1s\n' })
  await registry.pushBlob('end/blob', blob)
  using download = await startDownload(registry)
  using push = await startPush(registry)
  registry.signal('SIGTERM')
  assert.equal(await registry.exit, 0)
  const rest = await download.readToEnd()
  assert.ok(rest.length < blob.bytes.length - 1000)
  assert.equal((await push.readToEnd()).length, 0)
})

test('a second signal ends the process at once, and nothing acknowledged is lost', async () => {
  await using registry = await startRegistry()
  await registry.pushBlob('end/blob', blob)
  using download = await startDownload(registry)
  registry.signal('SIGTERM')
  await isStopping(registry)
  registry.signal('SIGTERM')
  assert.equal(await registry.exit, 128 + 15)
  assert.ok((await download.readToEnd()).length < blob.bytes.length)
  await registry.start()
  const got = await registry.request('GET', path)
  assert.ok(got.body.equals(blob.bytes))
})

test('what an upstream is just asked for when the registry stops is no failure', async () => {
  const upstream = await FakeUpstream.start()
  const registries = [{ host: upstream.host, insecure: true }]
  const config = JSON.stringify({ shutdown_grace: '0s', registry_proxies: { registries } })
  await using scene = new Scene(upstream, await startRegistry({ config }))
  const { digest } = scene.addBlob('silent', 1_000)
  upstream.use(holding(new Gate()), { on: /blobs|manifests/ })
  using client = await scene.openBlob(digest)
  using other = await RawConnection.open(scene.registry.url)
  other.writeHead('GET', scene.path('manifests', 'v1'))
  const isAsked = () => scene.count(/blobs/) > 0 && scene.count(/manifests/) > 0
  await until('the upstream is asked', () => Promise.resolve(isAsked()))
  scene.registry.signal('SIGTERM')
  assert.equal(await scene.registry.exit, 0)
  for (const cut of [client, other]) assert.equal((await cut.readToEnd()).length, 0)
  const logs = scene.registry.logs()
  assert.deepEqual(
    logs.filter(({ level }) => level === 'error').map(({ msg, err }) => [msg, err]),
    [],
  )
  assert.equal(logs.find(({ route }) => route === 'blob')?.['status'], 499)
})
