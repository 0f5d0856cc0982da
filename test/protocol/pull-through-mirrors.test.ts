/**
 * A second Trow as the endpoint of the first one: images keep their names, go through both, and stay
 * where they went.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UpstreamReport } from '../../src/registry/upstream-report.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { Gate, holding } from '../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { proxyConfig } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'
import { type Registry, type RegistryOptions, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const image = imageFixture({ layers: 2, layerBytes: 200_000 })
const user = { name: 'edge', password: 'secret' }

interface Pair extends AsyncDisposable {
  readonly upstream: FakeUpstream
  readonly back: Registry
  readonly front: Registry
}

/** Of two hosts, one upstream has all that there is; the one in front asks only the one behind. */
async function startPair(behind: RegistryOptions = {}, entry: object = {}): Promise<Pair> {
  await using started = new AsyncDisposableStack()
  const upstream = started.use(await FakeUpstream.start())
  upstream.content.addImage('library/app', image, 'v1')
  const hosts = ['docker.io', 'registry.example:5000']
  const entriesTo = (endpoint: string) =>
    hosts.map((host) => ({ host, insecure: true, endpoints: [endpoint] }))
  const config = proxyConfig(entriesTo(upstream.host))
  const back = started.use(await startRegistry({ ...behind, config }))
  const own = { host: back.host, insecure: true, ...entry }
  const front = started.use(
    await startRegistry({ config: proxyConfig([...entriesTo(back.host), own]) }),
  )
  const stack = started.move()
  return { upstream, back, front, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** All of the image, by the requests that containerd makes. */
async function pull(registry: Registry, namespace: string, repository: string): Promise<void> {
  const get = async (path: string, method = 'GET') => {
    const reply = await registry.request(method, `/v2/${repository}/${path}?ns=${namespace}`)
    assert.equal(reply.status, 200, `${path}: ${reply.body.toString()}`)
    assert.equal(reply.header('oci-namespace'), namespace)
    return reply
  }
  const head = await get('manifests/v1', 'HEAD')
  assert.equal(head.header('docker-content-digest'), image.root.digest)
  for (const { digest, bytes, mediaType } of image.manifests) {
    const manifest = await get(`manifests/${digest}`)
    assert.ok(manifest.body.equals(bytes))
    assert.equal(manifest.header('content-type'), mediaType)
  }
  for (const { digest, bytes } of image.blobs) {
    assert.ok((await get(`blobs/${digest}`)).body.equals(bytes))
  }
  const tags = await get('tags/list')
  assert.deepEqual((tags.json() as { tags: string[] }).tags, ['v1'])
}

describe('a Trow that is the endpoint of another one', () => {
  for (const [namespace, repository] of [
    ['docker.io', 'library/app'],
    ['registry.example:5000', 'library/app'],
  ] as const) {
    test(`serves it what is on ${namespace}`, async () => {
      await using pair = await startPair()
      await pull(pair.front, namespace, repository)
      const { length: transfers } = pair.upstream.log.filter((line) => /blobs/.test(line))
      assert.equal(transfers, image.blobs.length)
      // Both have it now, and nothing of it is among their own images.
      await pair.upstream[Symbol.asyncDispose]()
      await pull(pair.back, namespace, repository)
      await pull(pair.front, namespace, repository)
      for (const registry of [pair.back, pair.front]) {
        const own = await registry.request('GET', `/v2/${repository}/manifests/v1`)
        assertError(own, 404, 'NAME_UNKNOWN')
      }
      await pair.back.stop()
      await pull(pair.front, namespace, repository)
    })
  }

  test('may want a login, which its own entry has', async () => {
    const login = { username: user.name, password: user.password }
    await using pair = await startPair({ user }, login)
    await pull(pair.front, 'docker.io', 'app')
    await using stranger = await startPair({ user })
    const reply = await stranger.front.request('GET', '/v2/app/manifests/v1?ns=docker.io')
    assertError(reply, 404, 'MANIFEST_UNKNOWN')
    assert.equal(stranger.upstream.requests.length, 0)
  })
})

test('a Trow in front of another one passes on that a copy may be out of date', async () => {
  await using pair = await startPair()
  pair.upstream.content.addImage('library/app', image, 'v2')
  const get = (registry: Registry, reference: string) =>
    registry.request('GET', `/v2/library/app/manifests/${reference}?ns=docker.io`)
  await get(pair.front, 'v1')
  assert.equal((await get(pair.front, 'v1')).header('x-cache'), 'HIT')
  await get(pair.back, 'v2')
  await pair.upstream[Symbol.asyncDispose]()
  for (const [tag, cache] of [
    ['v1', 'STALE'],
    ['v2', 'MISS'],
    ['v2', 'STALE'],
  ] as const) {
    const reply = await get(pair.front, tag)
    assert.equal(reply.status, 200)
    assert.equal(reply.header('x-cache'), cache)
    assert.match(reply.header('warning'), /^299 - "[^"]*docker\.io[^"]*out of date"$/)
  }
  const byDigest = await get(pair.front, image.root.digest)
  assert.equal(byDigest.headers['warning'], undefined)
})

test('a Trow behind another one answers before that one stops waiting, when nobody answers it', async () => {
  await using pair = await startPair()
  const tags = ['a', 'b', 'c', 'd', 'e', 'f']
  pair.upstream.content.addImage('library/app', image, ...tags)
  const pullAll = () =>
    Promise.all(
      tags.map((tag) => pair.front.request('GET', `/v2/app/manifests/${tag}?ns=docker.io`)),
    )
  await pullAll()
  const gate = new Gate()
  pair.upstream.use(holding(gate))
  for (const reply of await pullAll()) assert.equal(reply.status, 200)
  // Nothing was wrong with the one behind.
  const report = await pair.front.request('GET', '/api/upstreams')
  const { upstreams } = report.json() as { upstreams: UpstreamReport['upstreams'] }
  const [endpoint] = upstreams.find(({ host }) => host === 'docker.io')?.endpoints ?? []
  assert.deepEqual([endpoint?.breaker, endpoint?.lastFailure], ['closed', undefined])
  gate.open()
})

test('what several Trows ask one behind them at the same time is fetched once', async () => {
  await using started = new AsyncDisposableStack()
  const upstream = started.use(await FakeUpstream.start())
  upstream.content.addImage('library/app', image, 'v1')
  const entry = { host: upstream.host, insecure: true }
  const back = started.use(await startRegistry({ config: proxyConfig([entry]) }))
  const config = proxyConfig([{ ...entry, endpoints: [back.host] }])
  const fronts = await Promise.all([1, 2, 3].map(() => startRegistry({ config })))
  for (const front of fronts) started.use(front)

  const [blob = image.root] = image.blobs
  for (const path of [`manifests/${image.root.digest}`, `blobs/${blob.digest}`]) {
    const gate = new Gate()
    upstream.use(holding(gate), { on: new RegExp(path) })
    const asked = `/v2/library/app/${path}?ns=${upstream.host}`
    const replies = Promise.all(fronts.map((front) => front.request('GET', asked)))
    await until('all of them wait', async () => (await inFlight(back)) >= fronts.length)
    gate.open()
    for (const { status } of await replies) assert.equal(status, 200)
    assert.equal(upstream.log.filter((line) => line.includes(path)).length, 1, path)
  }
})

/** Requests that are being answered, without the one that asks for it. */
async function inFlight(registry: Registry): Promise<number> {
  const { body } = await registry.request('GET', '/metrics')
  return Number(/^trow_http_requests_in_flight (\d+)$/m.exec(body.toString())?.[1]) - 1
}
