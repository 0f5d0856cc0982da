/**
 * Registries that have each other as endpoints: what goes round is refused within a second, by all of
 * them, and everything else they have goes on being served.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture, sha256Digest } from '../support/image-fixture.ts'
import { configure, messageOf, pathOf, proxyConfig } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const image = imageFixture({ layers: 1, layerBytes: 10_000 })
const [layer = image.root] = image.blobs
const hub = 'docker.io'
const secondsMax = 1
/** One that waited for another one's answer would take ten. */
const secondsOfAllMax = 9

/** Each one asks the next one, of which it knows only the address, for what is on Docker Hub. */
function asEndpoint({ host }: Registry): string {
  const endpoints = [host.replace('127.0.0.1', 'localhost')]
  return proxyConfig([{ host: hub, insecure: true, endpoints }])
}

/** Each one asks the next one for what it does not have, under the name that it was asked for. */
function asDefaultUpstream({ host }: Registry): string {
  return proxyConfig([{ host, insecure: true }], { default_upstream: host })
}

/** @param configOf gives what one of the registries is told of the next one. */
async function startRing(
  count: number,
  configOf = asEndpoint,
): Promise<{ registries: Registry[] } & AsyncDisposable> {
  await using started = new AsyncDisposableStack()
  const registries: Registry[] = []
  for (let index = 0; index < count; index++) {
    registries.push(started.use(await startRegistry({ config: proxyConfig([]) })))
  }
  for (const [index, registry] of registries.entries()) {
    const next = registries[(index + 1) % count] ?? registry
    await configure(registry, configOf(next))
  }
  const stack = started.move()
  return { registries, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

async function assertRefused(registry: Registry, path: string, method = 'GET'): Promise<void> {
  const begin = performance.now()
  const reply = await registry.request(method, path)
  const seconds = (performance.now() - begin) / 1000
  assert.equal(reply.status, 508, `${method} ${path}: ${reply.body.toString()}`)
  assert.ok(seconds < secondsMax, `${method} ${path}: ${seconds} s`)
  if (method === 'HEAD') return
  assertError(reply, 508, 'UNAVAILABLE')
  assert.match(messageOf(reply).message, /loop.*endpoints in registry_proxies\.registries/)
  assert.equal(reply.headers['retry-after'], undefined)
}

const paths = [
  `/v2/app/manifests/v1?ns=${hub}`,
  `/v2/f/${hub}/app/manifests/v1`,
  `/v2/app/manifests/${image.root.digest}?ns=${hub}`,
  `/v2/app/blobs/${layer.digest}?ns=${hub}`,
  `/v2/app/tags/list?ns=${hub}`,
]

describe('31. registries that ask each other in a circle', () => {
  for (const [name, count] of [
    ['two of them', 2],
    ['three of them', 3],
    ['one that asks itself by a name it does not know', 1],
  ] as const) {
    test(`refuse it at once: ${name}`, async () => {
      await using ring = await startRing(count)
      for (const registry of ring.registries) {
        for (const path of paths) await assertRefused(registry, path)
        await assertRefused(registry, `/v2/app/manifests/other?ns=${hub}`, 'HEAD')
        await assertRefused(registry, `/v2/app/blobs/${layer.digest}?ns=${hub}`, 'HEAD')
      }
      // A question goes round once, and nothing is asked again.
      const [first] = ring.registries as [Registry]
      for (const tag of ['once', 'marker']) {
        await assertRefused(first, `/v2/app/manifests/${tag}?ns=${hub}`)
      }
      const named = (tag: string) => first.logs().filter(({ path }) => String(path).includes(tag))
      await until('the last answer is logged', () => named('marker').length > 1)
      assert.equal(named('once').length, 2)
    })
  }

  for (const count of [2, 3]) {
    test(`refuse it at once where each is the default upstream of the one before: ${count} of them`, async () => {
      await using ring = await startRing(count, asDefaultUpstream)
      for (const registry of ring.registries) {
        for (const path of paths.filter((path) => path.endsWith(`?ns=${hub}`))) {
          await assertRefused(registry, path.slice(0, -`?ns=${hub}`.length))
        }
      }
    })
  }

  for (const [name, count, configOf, query] of [
    ['two of them', 2, asEndpoint, `?ns=${hub}`],
    ['three of them', 3, asEndpoint, `?ns=${hub}`],
    ['two default upstreams', 2, asDefaultUpstream, ''],
    ['three default upstreams', 3, asDefaultUpstream, ''],
  ] as const) {
    test(`refuse what all of them are asked for at once: ${name}`, async (t) => {
      await using ring = await startRing(count, configOf)
      // Of so many, some meet on their way round.
      const digests = Array.from({ length: 15 }, (_, index) =>
        sha256Digest(Buffer.from(`${index}`)),
      )
      const asked = digests.flatMap((digest, index) => [
        `/v2/app/manifests/v${index}${query}`,
        `/v2/app/blobs/${digest}${query}`,
      ])
      const begin = performance.now()
      const replies = await Promise.all(
        asked.flatMap((path) => ring.registries.map((registry) => registry.request('GET', path))),
      )
      const seconds = (performance.now() - begin) / 1000
      for (const reply of replies) assertError(reply, 508, 'UNAVAILABLE')
      assert.ok(seconds < secondsOfAllMax, `${seconds} s`)
      t.diagnostic(`${replies.length} requests: ${seconds.toFixed(1)} s`)
    })
  }

  test('refuse it, by way of one that knows of no endpoint, too; what meets on its way has a time-out', async () => {
    await using ring = await startRing(2)
    const [front, back] = ring.registries as [Registry, Registry]
    // To the one behind it is a registry like others, at a name that the one in front does not know.
    const alias = front.host.replace('127.0.0.1', 'localhost')
    const asked = { host: alias, insecure: true, endpoints: [back.host] }
    const own = { host: back.host, insecure: true }
    await configure(front, proxyConfig([asked, own], { default_upstream: alias }))
    await configure(back, proxyConfig([{ host: alias, insecure: true }]))
    const pathsOf = (tag: string) =>
      [
        [front, `/v2/app/manifests/${tag}`],
        [back, `/v2/app/manifests/${tag}?ns=${alias}`],
      ] as const
    for (const [registry, path] of pathsOf('alone')) await assertRefused(registry, path)
    const begin = performance.now()
    const replies = await Promise.all(
      ['a', 'b', 'c'].flatMap(pathsOf).map(([registry, path]) => registry.request('GET', path)),
    )
    for (const { status } of replies) assert.ok([502, 504, 508].includes(status), `${status}`)
    // Containerd waits for thirty.
    assert.ok(performance.now() - begin < 20_000)
  })

  test('go on serving all else', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage('good/app', image, 'v1').addImage('app', image, 'v1')
    await using ring = await startRing(2)
    const [front, back] = ring.registries as [Registry, Registry]
    await configure(
      back,
      proxyConfig([
        { host: hub, path_prefix: 'library', insecure: true, endpoints: [front.host] },
        { host: hub, path_prefix: 'good', insecure: true, endpoints: [upstream.host] },
        { host: upstream.host, insecure: true },
      ]),
    )
    for (let time = 0; time < 7; time++) {
      for (const path of paths) await assertRefused(front, path)
    }
    const through = await front.request('GET', `/v2/good/app/manifests/v1?ns=${hub}`)
    assert.equal(through.status, 200, through.body.toString())
    const blob = await front.request('GET', `/v2/good/app/blobs/${layer.digest}?ns=${hub}`)
    assert.ok(blob.body.equals(image.blobs[0]?.bytes ?? Buffer.alloc(0)))
    const direct = await back.request('GET', `${pathOf(upstream, 'app')}/manifests/v1`)
    assert.equal(direct.status, 200)
  })

  test('have what they refused as soon as the circle is opened', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage('library/app', image, 'v1')
    await using ring = await startRing(2)
    const [front, back] = ring.registries as [Registry, Registry]
    for (const path of paths) await assertRefused(front, path)
    await configure(back, proxyConfig([{ host: hub, insecure: true, endpoints: [upstream.host] }]))
    for (const path of paths) {
      const reply = await front.request('GET', path)
      assert.equal(reply.status, 200, `${path}: ${reply.body.toString()}`)
    }
  })

  test('get what one of them can have from elsewhere', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage('library/app', image, 'v1')
    await using ring = await startRing(2)
    const [front, back] = ring.registries as [Registry, Registry]
    for (const [one, other] of [
      [front, back],
      [back, front],
    ] as const) {
      const endpoints = [other.host, upstream.host]
      await configure(one, proxyConfig([{ host: hub, insecure: true, endpoints }]))
    }
    for (const path of paths) {
      const reply = await front.request('GET', path)
      assert.equal(reply.status, 200, `${path}: ${reply.body.toString()}`)
    }
  })
})

test('31. a request that has passed through too many registries is refused', async () => {
  await using registry = await startRegistry({ config: proxyConfig([]) })
  const entries = Array.from({ length: 9 }, (_, index) => `1.1 trow-000000000000000${index}`)
  const path = `/v2/app/manifests/v1?ns=registry.example`
  const reply = await registry.request('GET', path, { headers: { via: entries.join(', ') } })
  assertError(reply, 508, 'UNAVAILABLE')
  assert.match(messageOf(reply).message, /registry\.example/)
  // What it has itself asks nobody.
  const local = await registry.request('GET', '/v2/app/manifests/v1', {
    headers: { via: entries.join(', ') },
  })
  assertError(local, 404, 'NAME_UNKNOWN')
})
