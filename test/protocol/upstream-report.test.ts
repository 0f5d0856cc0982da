/**
 * `/api/upstreams` and the metrics of other registries: what they tell of pulls and of upstreams, to
 * whom, and that the two agree.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { limits } from '../../src/config/limits.ts'
import {
  cutting,
  corrupting,
  failing,
  rateLimiting,
  withHeaders,
} from '../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { proxyConfig, type Scene, startScene } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const image = imageFixture()
const manifestBytes = image.root.size
const noCounts = {
  hits: 0,
  misses: 0,
  stale: 0,
  coalesced: 0,
  failures: 0,
  savedBytes: 0,
  fetchedBytes: 0,
  requests: 0,
}

interface Report {
  readonly time: string
  readonly platform: string
  readonly offline: boolean
  readonly upstreams: readonly {
    readonly host: string
    readonly listed: boolean
    readonly counts: typeof noCounts
    readonly endpoints: readonly {
      readonly host: string
      readonly lastAnswer?: string
      readonly lastFailure?: { readonly time: string; readonly message: string }
      readonly breaker: string
      readonly suspended?: { readonly until: string; readonly reason: string }
      readonly rateLimit?: object
    }[]
  }[]
  readonly other: typeof noCounts
}

async function reportOf(registry: Registry): Promise<Report> {
  const reply = await registry.request('GET', '/api/upstreams')
  assert.equal(reply.status, 200)
  return reply.json() as Report
}

async function upstreamOf({ registry, host }: Scene): Promise<Report['upstreams'][number]> {
  const { upstreams } = await reportOf(registry)
  const found = upstreams.find((upstream) => upstream.host === host)
  assert.ok(found, host)
  return found
}

async function metricOf({ registry, host }: Scene, name: string, labels = ''): Promise<number> {
  const { body } = await registry.request('GET', '/metrics')
  const line = body
    .toString()
    .split('\n')
    .find((text) => text.startsWith(`${name}{upstream="${host}"${labels}}`))
  return Number(line?.split(' ').at(-1))
}

async function startWithImage(options: Parameters<typeof startScene>[0] = {}): Promise<Scene> {
  const scene = await startScene(options)
  scene.upstream.content.addImage('app', image, 'v1')
  return scene
}

describe('what /api/upstreams tells of pulls', () => {
  test('is hits, misses, bytes and requests, as the metrics have them', async () => {
    await using scene = await startWithImage()
    const [layer] = image.blobs
    const size = layer?.bytes.length ?? 0
    for (let round = 0; round < 3; round++) {
      await scene.manifest('v1')
      await scene.blob(layer?.digest ?? '')
      if (round === 0) await scene.kept(layer?.digest ?? '')
    }
    await scene.blob(layer?.digest ?? '', { range: 'bytes=0-9' })
    await scene.manifest('v1', 'HEAD')
    // The bytes of an answer are counted a moment after its last one was sent.
    const savedBytes = 2 * manifestBytes + 2 * size + 10
    const { counts } = await until('all bytes are counted', async () => {
      const upstream = await upstreamOf(scene)
      return upstream.counts.savedBytes >= savedBytes && upstream
    })
    const { requests } = counts
    assert.deepEqual(counts, {
      ...noCounts,
      hits: 6,
      misses: 2,
      savedBytes,
      fetchedBytes: manifestBytes + size,
      requests: scene.upstream.requests.length,
    })
    assert.equal(await metricOf(scene, 'trow_pull_through_saved_bytes_total'), savedBytes)
    assert.equal(await metricOf(scene, 'trow_upstream_fetched_bytes_total'), manifestBytes + size)
    assert.equal(await metricOf(scene, 'trow_upstream_requests_total'), requests)
    const pulls = 'trow_pull_through_requests_total'
    assert.equal(await metricOf(scene, pulls, ',kind="manifest",cache="hit"'), 3)
    assert.equal(await metricOf(scene, pulls, ',kind="blob",cache="hit"'), 3)
    assert.equal(await metricOf(scene, pulls, ',kind="blob",cache="failed"'), 0)
  })

  test('is what was joined, what was stale, and what failed', async () => {
    await using scene = await startWithImage()
    const held = scene.addHeldBlob('held', 200_000, 100_000)
    const first = scene.blob(held.digest)
    await until('it is on its way', () => scene.count(/blobs/) === 1)
    const second = scene.blob(held.digest)
    await until('another one has joined', async () => {
      const { counts } = await upstreamOf(scene)
      return counts.coalesced === 1
    })
    held.gate.open()
    await Promise.all([first, second])
    await scene.manifest('v1')
    scene.upstream.use(failing(500))
    assert.equal((await scene.manifest('v1')).header('x-cache'), 'STALE')
    assert.equal((await scene.manifest('v2')).status, 502)
    const { counts } = await until('all bytes are counted', async () => {
      const upstream = await upstreamOf(scene)
      return upstream.counts.savedBytes >= held.bytes.length + manifestBytes && upstream
    })
    const { misses, coalesced, stale, failures, savedBytes } = counts
    assert.deepEqual([misses, coalesced, stale, failures], [2, 1, 1, 1])
    assert.equal(savedBytes, held.bytes.length + manifestBytes)
  })

  test('is no failure when the upstream does not have what is asked for', async () => {
    await using scene = await startWithImage()
    assertError(await scene.manifest('none'), 404, 'MANIFEST_UNKNOWN')
    assert.equal((await upstreamOf(scene)).counts.failures, 0)
    scene.upstream.use(failing(401, 'UNAUTHORIZED'))
    assertError(await scene.manifest('private'), 404, 'MANIFEST_UNKNOWN')
    const { counts, endpoints } = await upstreamOf(scene)
    assert.equal(counts.failures, 1)
    assert.match(endpoints[0]?.lastFailure?.message ?? '', /401/)
  })

  test('is a failure, too, when a layer breaks off because its bytes are wrong', async () => {
    await using scene = await startWithImage()
    const { digest } = scene.addBlob('wrong', 300_000)
    scene.upstream.use(corrupting(), { on: /GET .*blobs/ })
    await assert.rejects(scene.blob(digest))
    const failed = async () => (await upstreamOf(scene)).counts.failures === 1
    await until('the failure is counted', failed)
  })
})

describe('what /api/upstreams tells of an upstream', () => {
  test('that was not asked yet is where it is', async () => {
    await using registry = await startRegistry({
      config: proxyConfig([
        { host: 'b.example', endpoints: ['mirror.example', 'b.example'] },
        { host: 'a.example', path_prefix: 'team', username: 'u', password: 'very-secret' },
      ]),
    })
    const reply = await registry.request('GET', '/api/upstreams')
    const { time, platform, ...report } = reply.json() as Report
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000)
    assert.match(platform, /^linux\/[a-z0-9]+$/)
    assert.equal(reply.header('cache-control'), 'no-store')
    assert.deepEqual(report, {
      offline: false,
      upstreams: [
        {
          host: 'b.example',
          listed: true,
          counts: noCounts,
          endpoints: [
            { host: 'mirror.example', breaker: 'closed' },
            { host: 'b.example', breaker: 'closed' },
          ],
        },
        {
          host: 'a.example',
          listed: true,
          counts: noCounts,
          endpoints: [{ host: 'a.example', pathPrefix: 'team', breaker: 'closed' }],
        },
      ],
      other: noCounts,
    })
    assert.doesNotMatch(reply.body.toString(), /secret/)
  })

  test('is when it answered last, and how much of its rate limit is left', async () => {
    await using scene = await startWithImage()
    const told = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '37;w=21600' }
    scene.upstream.use(withHeaders(told))
    await scene.manifest('v1')
    const { listed, endpoints } = await upstreamOf(scene)
    assert.equal(listed, true)
    const [{ lastAnswer = '', ...endpoint } = { breaker: '' }] = endpoints
    assert.ok(Math.abs(Date.parse(lastAnswer) - Date.now()) < 60_000)
    assert.deepEqual(endpoint, {
      host: scene.host,
      breaker: 'closed',
      rateLimit: { limit: 100, remaining: 37, windowSeconds: 21_600 },
    })
  })

  test('is until when it is left alone, and why', async () => {
    await using scene = await startWithImage()
    scene.upstream.use(rateLimiting('600'), { times: 1 })
    assert.equal((await scene.manifest('v1')).status, 429)
    const [limited] = (await upstreamOf(scene)).endpoints
    assert.equal(limited?.suspended?.reason, 'rate-limit')
    const seconds = (Date.parse(limited?.suspended?.until ?? '') - Date.now()) / 1000
    assert.ok(seconds > 500 && seconds <= 600, String(seconds))
    assert.equal(await metricOf(scene, 'trow_upstream_suspended'), 1)
  })

  test('is that it fails, how, and when it is tried again', async () => {
    await using scene = await startWithImage()
    scene.upstream.use(cutting())
    for (let i = 0; i < limits.upstreamBreakerFailuresMax; i++) await scene.manifest(`v${i}`)
    const { counts, endpoints } = await upstreamOf(scene)
    const [failing] = endpoints
    assert.equal(counts.failures, limits.upstreamBreakerFailuresMax)
    assert.equal(failing?.breaker, 'open')
    assert.equal(failing?.suspended?.reason, 'failures')
    assert.match(failing?.lastFailure?.message ?? '', /connection/)
  })

  test('is nothing new when Trow is offline, which is said', async () => {
    await using scene = await startWithImage({ settings: { offline: true } })
    assertError(await scene.manifest('v1'), 404, 'MANIFEST_UNKNOWN')
    assert.equal((await reportOf(scene.registry)).offline, true)
    const { counts, endpoints } = await upstreamOf(scene)
    assert.deepEqual(counts, { ...noCounts, failures: 1 })
    assert.deepEqual(endpoints, [{ host: scene.host, breaker: 'closed' }])
  })

  test('without an entry comes after the others', async () => {
    await using scene = await startWithImage()
    const path = '/v2/f/127.0.0.1_1/app/manifests/v1'
    assertError(await scene.registry.request('GET', path), 403, 'DENIED')
    const { upstreams, other } = await reportOf(scene.registry)
    assert.deepEqual(
      upstreams.map(({ host, listed }) => [host, listed]),
      [
        [scene.host, true],
        ['127.0.0.1:1', false],
      ],
    )
    assert.equal(other.failures, 1)
  })
})

describe('/api/upstreams', () => {
  const user = { name: 'ann', password: 'secret' }

  test('is for whoever may list the repositories', async () => {
    await using registry = await startRegistry({ user })
    const refused = await registry.request('GET', '/api/upstreams', { anonymous: true })
    assertError(refused, 401, 'UNAUTHORIZED')
    assert.match(refused.header('www-authenticate'), /scope="registry:catalog:\*"/)
    assert.equal((await registry.request('GET', '/api/upstreams')).status, 200)
    assert.equal((await registry.request('HEAD', '/api/upstreams')).status, 200)
    assertError(await registry.request('POST', '/api/upstreams'), 405, 'UNSUPPORTED')
  })

  test('is for everybody where everybody may pull', async () => {
    await using registry = await startRegistry({ user, anonymousPull: true })
    const reply = await registry.request('GET', '/api/upstreams', { anonymous: true })
    assert.deepEqual((reply.json() as Report).upstreams, [])
  })
})
