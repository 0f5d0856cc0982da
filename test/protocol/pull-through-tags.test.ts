/**
 * Tags of upstreams: checked as often as they should be and no oftener, served from the cache when
 * the upstream cannot be asked, and not served when it says that there is no such thing.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  answering,
  cutting,
  failing,
  FakeTokenService,
  Gate,
  holding,
  rateLimiting,
  withHeaders,
} from '../support/fake-upstream-behaviours.ts'
import type { Behaviour } from '../support/fake-upstream.ts'
import type { Reply } from '../support/http-client.ts'
import { imageFixture } from '../support/image-fixture.ts'
import {
  configure,
  messageOf,
  proxyConfig,
  type Scene,
  startScene,
} from '../support/pull-through.ts'
import { assertError, ociIndex, sha512Digest } from '../support/push-steps.ts'
import type { Registry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

/** As an ingress or a gateway has it, of hosts behind which there is nothing. */
const noBackend = answering(404, 'text/plain', '404 page not found')
const image = imageFixture({ layers: 1, layerBytes: 1000 })
const moved = imageFixture({ layers: 1, layerBytes: 1000, seed: 2 })

async function startWithImage(settings: object = {}): Promise<Scene> {
  const scene = await startScene({ settings })
  scene.upstream.content.addImage('app', image, 'v1')
  return scene
}

async function pullAll(scene: Scene, count: number): Promise<Reply[]> {
  return await Promise.all(Array.from({ length: count }, () => scene.manifest('v1', 'HEAD')))
}

async function requestsInFlight(registry: Registry): Promise<number> {
  const metrics = (await registry.request('GET', '/metrics')).body.toString()
  return Number(/^trow_http_requests_in_flight(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1])
}

describe('18. a tag', () => {
  test('is checked once for a hundred clients that pull it at the same time', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    const gate = new Gate()
    scene.upstream.use(holding(gate), { on: /^HEAD .*manifests/ })
    const pulls = pullAll(scene, 100)
    await until('all of them wait', async () => (await requestsInFlight(scene.registry)) > 100)
    gate.open()
    const replies = await pulls
    assert.ok(replies.every(({ status }) => status === 200))
    assert.equal(scene.count(/manifests/), 2)
    assert.equal(scene.count(/^HEAD .*manifests/), 1)
  })

  test('is fetched once for a hundred clients that pull it cold', async () => {
    await using scene = await startWithImage()
    const gate = new Gate()
    scene.upstream.use(holding(gate), { on: /manifests/ })
    const pulls = pullAll(scene, 100)
    await until('all of them wait', async () => (await requestsInFlight(scene.registry)) > 100)
    gate.open()
    const caches = (await pulls).map((reply) => reply.header('x-cache'))
    assert.equal(caches.filter((cache) => cache === 'MISS').length, 1)
    assert.equal(caches.filter((cache) => cache === 'COALESCED').length, 99)
    assert.equal(scene.count(/manifests/), 1)
  })

  test('is checked once in tag_ttl, also after a restart', async () => {
    await using scene = await startWithImage({ tag_ttl: '1h' })
    await scene.manifest('v1')
    await scene.registry.restart()
    await pullAll(scene, 50)
    for (let pull = 0; pull < 50; pull += 1) {
      assert.equal((await scene.manifest('v1')).header('x-cache'), 'HIT')
    }
    assert.equal(scene.count(/^GET .*manifests/), 1)
    assert.equal(scene.count(/^HEAD .*manifests/), 1)
  })

  test('that moved is seen when tag_ttl is over', async () => {
    await using scene = await startWithImage({ tag_ttl: '500ms' })
    await scene.manifest('v1')
    scene.upstream.content.addImage('app', moved, 'v1')
    await until('the new image is served', async () => {
      const reply = await scene.manifest('v1')
      return reply.header('docker-content-digest') === moved.root.digest
    })
    const again = await scene.manifest('v1')
    assert.equal(again.headers['warning'], undefined)
    assert.equal((await scene.manifest(image.root.digest)).header('x-cache'), 'HIT')
  })

  test('that moved is seen at once without tag_ttl, and fetched by its digest', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    scene.upstream.content.addImage('app', moved, 'v1')
    const reply = await scene.manifest('v1')
    assert.equal(reply.header('docker-content-digest'), moved.root.digest)
    assert.equal(reply.header('x-cache'), 'MISS')
    assert.equal(scene.count(new RegExp(`GET .*manifests/${moved.root.digest}`)), 1)
    assert.equal((await scene.manifest('v1')).header('x-cache'), 'HIT')
  })
})

describe('a tag that HEAD is wrong about', () => {
  const absent = `sha256:${'0'.repeat(64)}`
  const lies: [name: string, lie: Behaviour][] = [
    ['denies', failing(404, 'MANIFEST_UNKNOWN')],
    ['gives a digest that nothing has', withHeaders({ 'docker-content-digest': absent })],
    [
      'gives the digest of another algorithm, by which nothing is found',
      withHeaders({ 'docker-content-digest': sha512Digest(Buffer.from('anything')) }),
    ],
  ]
  for (const [name, lie] of lies) {
    test(`is what GET says it is, before and after it moves: one that it ${name}`, async () => {
      await using scene = await startWithImage()
      scene.upstream.use(lie, { on: /^HEAD .*manifests/ })
      for (const { root } of [image, moved]) {
        scene.upstream.content.addImage('app', root === image.root ? image : moved, 'v1')
        for (const method of ['GET', 'HEAD']) {
          const reply = await scene.manifest('v1', method)
          assert.equal(reply.status, 200, reply.body.toString())
          assert.equal(reply.header('docker-content-digest'), root.digest)
          assert.equal(reply.headers['warning'], undefined)
        }
        assert.equal((await scene.manifest('v1')).header('x-cache'), 'HIT')
      }
    })
  }

  test('is known by the digest of another algorithm where GET knows that one', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    const manifest = moved.manifests.at(-1)
    assert.ok(manifest !== undefined)
    const digest = sha512Digest(manifest.bytes)
    scene.upstream.content.addManifest('app', { ...manifest, digest }, 'v1')
    for (const cache of ['MISS', 'HIT']) {
      const reply = await scene.manifest('v1')
      assert.equal(reply.header('docker-content-digest'), digest)
      assert.equal(reply.header('x-cache'), cache)
      assert.ok(reply.body.equals(manifest.bytes))
    }
  })
})

describe('19. a warm tag while its upstream', () => {
  const gate = new Gate()
  const failures: [name: string, fail: (scene: Scene) => unknown][] = [
    ['is gone', ({ upstream }) => upstream[Symbol.asyncDispose]()],
    ['breaks connections', ({ upstream }) => upstream.use(cutting())],
    ['answers 500', ({ upstream }) => upstream.use(failing(500))],
    ['answers 503', ({ upstream }) => upstream.use(failing(503))],
    ['answers 429', ({ upstream }) => upstream.use(failing(429))],
    ['says nothing at all', ({ upstream }) => upstream.use(holding(gate))],
    ['refuses us', ({ upstream }) => upstream.use(failing(403, 'DENIED'))],
    ['is gone behind what answers for it', ({ upstream }) => upstream.use(noBackend)],
    [
      'has no token service any more',
      ({ upstream }) => {
        const tokens = new FakeTokenService()
        upstream.use(tokens.require(`${upstream.origin}/token`)).use(noBackend, { on: /token/ })
      },
    ],
    ['has nothing in its answers', ({ upstream }) => upstream.use(answering(200, ociIndex, ''))],
    ['wants a login that nobody has', ({ upstream }) => upstream.use(failing(401, 'UNAUTHORIZED'))],
  ]
  for (const [name, fail] of failures) {
    test(`${name} is served soon, with a warning`, async () => {
      await using scene = await startWithImage()
      await scene.manifest('v1')
      await fail(scene)
      for (const method of ['HEAD', 'GET']) {
        const start = performance.now()
        const reply = await scene.manifest('v1', method)
        const secondsMax = name === 'says nothing at all' ? 10 : 3
        assert.ok(performance.now() - start < secondsMax * 1000, 'it took too long')
        assert.equal(reply.status, 200, reply.body.toString())
        assert.equal(reply.header('x-cache'), 'STALE')
        assert.match(reply.header('warning'), /^299 - "[^"]*127\.0\.0\.1[^"]*"$/)
        assert.equal(reply.header('docker-content-digest'), image.root.digest)
      }
    })
  }

  test('has a token service that answers 500 is served, with a warning', async () => {
    await using scene = await startWithImage()
    const { upstream } = scene
    const tokens = new FakeTokenService()
    upstream.use(tokens.require(`${upstream.origin}/token`)).use(tokens.issue)
    assert.equal((await scene.manifest('v1')).header('x-cache'), 'MISS')
    tokens.revokeAll()
    upstream.use(failing(500), { on: /token/ })
    const reply = await scene.manifest('v1')
    assert.equal(reply.header('x-cache'), 'STALE')
    assert.match(reply.header('warning'), /^299 /)
  })

  test('is fresh again as soon as the upstream is', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    scene.upstream.use(failing(500), { times: 4 })
    await until('a fresh answer', async () => {
      const reply = await scene.manifest('v1')
      return reply.header('x-cache') === 'HIT'
    })
  })

  test('a cold tag of an upstream that fails is 502, not 404 and not 500', async () => {
    await using scene = await startWithImage()
    scene.upstream.use(failing(500))
    const reply = await scene.manifest('v1')
    assertError(reply, 502, 'UNAVAILABLE')
    assert.deepEqual(messageOf(reply).detail, { upstream: scene.upstream.host, status: 500 })
  })
})

describe('20. an upstream that wants to be left alone', () => {
  test('is, until the time it said is over; who asks meanwhile hears when that is', async () => {
    await using scene = await startWithImage()
    scene.upstream.use(rateLimiting('2'), { on: /manifests/, times: 1 })
    const first = await scene.manifest('v1')
    assertError(first, 429, 'TOOMANYREQUESTS')
    const { length } = scene.upstream.requests
    const second = await scene.manifest('v1')
    assertError(second, 429, 'TOOMANYREQUESTS')
    for (const reply of [first, second]) {
      assert.match(reply.header('retry-after'), /^[12]$/)
    }
    assert.equal(scene.upstream.requests.length, length)
    await until('it is asked again', async () => (await scene.manifest('v1')).status === 200)
  })
})

describe('21. what an upstream does not have', () => {
  test('is 404 MANIFEST_UNKNOWN, signatures too, and not asked for again at once', async () => {
    await using scene = await startWithImage()
    const tags = ['gone', image.root.digest.replace(':', '-') + '.sig', `sha256:${'0'.repeat(64)}`]
    for (const tag of tags) {
      for (let pull = 0; pull < 5; pull += 1) {
        const reply = await scene.manifest(tag)
        assertError(reply, 404, 'MANIFEST_UNKNOWN')
        assert.deepEqual(messageOf(reply).detail, { upstream: scene.upstream.host, status: 404 })
      }
      assert.equal(scene.count(new RegExp(`manifests/${tag}`)), 1)
    }
  })

  test('is asked for again after unknown_ttl', async () => {
    await using scene = await startWithImage({ unknown_ttl: '500ms' })
    assertError(await scene.manifest('new'), 404, 'MANIFEST_UNKNOWN')
    scene.upstream.content.setTag('app', 'new', image.root.digest)
    assertError(await scene.manifest('new'), 404, 'MANIFEST_UNKNOWN')
    await until('it is there', async () => (await scene.manifest('new')).status === 200)
  })

  test('is asked for again after a reload: with another login it may be there', async () => {
    await using scene = await startWithImage({ unknown_ttl: '30m' })
    assertError(await scene.manifest('new'), 404, 'MANIFEST_UNKNOWN')
    scene.upstream.content.setTag('app', 'new', image.root.digest)
    assertError(await scene.manifest('new'), 404, 'MANIFEST_UNKNOWN')
    const entry = { host: scene.host, insecure: true }
    await configure(scene.registry, proxyConfig([entry], { unknown_ttl: '1h' }))
    assert.equal((await scene.manifest('new')).status, 200)
  })

  test('is 404, too, where what answers for it is no registry', async () => {
    await using scene = await startWithImage()
    scene.upstream.use(noBackend)
    for (let pull = 0; pull < 3; pull += 1) {
      assertError(await scene.manifest('new'), 404, 'MANIFEST_UNKNOWN')
    }
    assert.equal(scene.count(/manifests/), 1)
  })

  test('any more is 404, whatever is cached of it', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    scene.upstream.use(failing(404, 'MANIFEST_UNKNOWN'), { on: /manifests\/v1/ })
    assertError(await scene.manifest('v1'), 404, 'MANIFEST_UNKNOWN')
    assert.equal((await scene.manifest(image.root.digest)).status, 200)
  })

  for (const status of [401, 403]) {
    test(`${status} with a fresh token is 404, and says what the upstream said`, async () => {
      await using scene = await startWithImage()
      const { upstream } = scene
      const tokens = new FakeTokenService()
      upstream
        .use(failing(status, 'DENIED'))
        .use(tokens.require(`${upstream.origin}/token`))
        .use(tokens.issue)
      const manifest = await scene.manifest('v1')
      assertError(manifest, 404, 'MANIFEST_UNKNOWN')
      assert.deepEqual(messageOf(manifest).detail, { upstream: upstream.host, status })
      const [blob] = image.blobs
      assertError(await scene.blob(blob?.digest ?? ''), 404, 'BLOB_UNKNOWN')
    })
  }
})

describe('22. offline', () => {
  test('no connection is made: what is cached is served, all else is 404', async () => {
    await using scene = await startWithImage()
    const { registry, upstream } = scene
    await scene.manifest('v1')
    for (const { digest } of image.blobs) await scene.blob(digest)
    const entry = { host: upstream.host, insecure: true }
    await registry.restart({ config: proxyConfig([entry], { offline: true }) })
    const { connections } = upstream
    assert.equal((await scene.manifest('v1')).status, 200)
    assert.equal((await scene.manifest(image.root.digest)).header('x-cache'), 'HIT')
    for (const { digest, bytes } of image.blobs) {
      assert.ok((await scene.blob(digest)).body.equals(bytes))
    }
    assertError(await scene.manifest('other'), 404, 'MANIFEST_UNKNOWN')
    assertError(await scene.blob(`sha256:${'0'.repeat(64)}`), 404, 'BLOB_UNKNOWN')
    assert.deepEqual(await scene.tags(), ['v1'])
    assert.equal(upstream.connections, connections)
  })
})
