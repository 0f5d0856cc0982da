/**
 * What answers of the cache say of themselves, and what the log and the metrics say of them: the
 * client sees each stale answer, the operator hears of an outage once.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { failing, Gate, holding } from '../support/fake-upstream-behaviours.ts'
import type { Behaviour } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { pathOf, type Scene, startScene } from '../support/pull-through.ts'
import { makeBlob } from '../support/push-steps.ts'
import type { LogLine } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const image = imageFixture({ layers: 1, layerBytes: 1000 })
const { digest } = image.root
const [layer = makeBlob('none')] = image.blobs

async function startWithImage(): Promise<Scene> {
  const scene = await startScene()
  scene.upstream.content.addImage('app', image, 'v1')
  return scene
}

function pathsOf(scene: Scene): Record<'manifest' | 'blob' | 'tags' | 'referrers', string> {
  return {
    manifest: scene.path('manifests', 'v1'),
    blob: scene.path('blobs', layer.digest),
    tags: `${pathOf(scene, 'app')}/tags/list`,
    referrers: scene.path('referrers', digest),
  }
}

/** Answers so far, as `kind cache`, of which there were any. */
async function countedPulls({ registry }: Scene): Promise<Record<string, number>> {
  const metrics = (await registry.request('GET', '/metrics')).body.toString()
  const lines = metrics.matchAll(
    /^trow_pull_through_requests_total\{upstream="[^"]*",kind="(\w+)",cache="(\w+)"\} (\d+)$/gm,
  )
  const counts = [...lines].map(([, kind, cache, n]) => [`${kind} ${cache}`, Number(n)] as const)
  return Object.fromEntries(counts.filter(([, count]) => count > 0))
}

function linesOf({ registry }: Scene, level: string): LogLine[] {
  return registry.logs().filter((line) => line['level'] === level)
}

function staleLines(scene: Scene, level: string): LogLine[] {
  return linesOf(scene, level).filter(({ msg }) => msg.includes('serving the cached copy'))
}

describe('X-Cache', () => {
  test('is in every answer with content, HEAD and 304 too, and log and metrics agree', async () => {
    await using scene = await startWithImage()
    const { registry } = scene
    const paths = pathsOf(scene)
    const caches = async (path: string, times: [string, Record<string, string>?][]) => {
      const found: unknown[] = []
      for (const [method, headers = {}] of times) {
        const reply = await registry.request(method, path, { headers })
        const id = reply.header('x-request-id')
        const line = await registry.logged(
          ({ request, route }) => request === id && route !== undefined,
        )
        assert.equal(line['cache'], reply.headers['x-cache'])
        found.push(line['cache'])
      }
      return found
    }
    const ifChanged = { 'if-none-match': `"${digest}"` }
    assert.deepEqual(await caches(paths.manifest, [['HEAD'], ['GET'], ['GET', ifChanged]]), [
      'MISS',
      'HIT',
      'HIT',
    ])
    assert.deepEqual(await caches(paths.blob, [['HEAD'], ['HEAD'], ['GET']]), [
      'MISS',
      'MISS',
      'MISS',
    ])
    await scene.kept(layer.digest)
    const ifOther = { 'if-none-match': `"${layer.digest}"` }
    const warm: [string, Record<string, string>?][] = [['HEAD'], ['GET'], ['HEAD', ifOther]]
    assert.deepEqual(await caches(paths.blob, [...warm, ['GET', ifOther]]), Array(4).fill('HIT'))
    for (const kind of ['tags', 'referrers'] as const) {
      assert.deepEqual(await caches(paths[kind], [['GET'], ['HEAD']]), ['MISS', 'MISS'])
    }
    assert.deepEqual(await countedPulls(scene), {
      'manifest miss': 1,
      'manifest hit': 2,
      'blob miss': 3,
      'blob hit': 4,
      'tags miss': 2,
      'referrers miss': 2,
    })
  })

  test('is STALE, with a warning, while the upstream cannot be asked, lists included', async () => {
    await using scene = await startWithImage()
    const paths = pathsOf(scene)
    await scene.manifest('v1')
    await scene.upstream[Symbol.asyncDispose]()
    for (const kind of ['manifest', 'tags', 'referrers'] as const) {
      const reply = await scene.registry.request('GET', paths[kind])
      assert.equal(reply.header('x-cache'), 'STALE', kind)
      assert.match(reply.header('warning'), /^299 - "127\.0\.0\.1.* refused the connection; /)
      assert.equal((await countedPulls(scene))[`${kind} stale`], 1)
    }
  })
})

describe('of an outage the log', () => {
  test('warns once, however many stale answers there are', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    scene.upstream.use(failing(503))
    for (let pull = 0; pull < 12; pull += 1) {
      assert.equal((await scene.manifest('v1')).header('x-cache'), 'STALE')
    }
    await scene.registry.request('GET', pathsOf(scene).tags)
    await until('each has its line', () => staleLines(scene, 'info').length === 13)
    assert.deepEqual(
      linesOf(scene, 'warn').map(({ msg }) => msg),
      ['the upstream fails; cached copies are served meanwhile'],
    )
    const [line] = staleLines(scene, 'info')
    assert.equal(line?.['upstream'], scene.host)
    assert.equal(line?.['reference'], 'v1')
    assert.match(String(line?.['reason']), /503/)
    assert.equal((await countedPulls(scene))['manifest stale'], 12)
  })

  test('warns of a repository that is refused, once until it is not', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    for (const _ of ['once', 'and again']) {
      scene.upstream.use(failing(403, 'DENIED'), { on: /manifests/, times: 3 })
      for (const cache of ['STALE', 'STALE', 'STALE', 'HIT']) {
        assert.equal((await scene.manifest('v1')).header('x-cache'), cache)
      }
    }
    await until('each has its line', () => staleLines(scene, 'info').length === 4)
    const warnings = staleLines(scene, 'warn')
    assert.equal(warnings.length, 2)
    assert.match(String(warnings[0]?.['reason']), /403/)
    assert.equal(
      `/v2/${String(warnings[0]?.['repository'])}`,
      pathOf(scene, 'app').replace('_/', '/'),
    )
  })
})

test('an upstream that says nothing costs some pulls a wait, and the next ones none', async () => {
  await using scene = await startScene()
  const tags = ['a', 'b', 'c', 'd', 'e', 'f']
  scene.upstream.content.addImage('app', image, ...tags)
  for (const tag of tags) await scene.manifest(tag)
  const gate = new Gate()
  scene.upstream.use(holding(gate))
  const [last = '', ...first] = tags
  const stale = await Promise.all(first.map((tag) => scene.manifest(tag)))
  const start = performance.now()
  stale.push(await scene.manifest(last))
  assert.ok(performance.now() - start < 3000, 'it waited again')
  for (const reply of stale) {
    assert.equal(reply.header('x-cache'), 'STALE')
    assert.match(reply.header('warning'), /did not answer within/)
  }
  await until('each has its line', () => staleLines(scene, 'info').length === tags.length)
  assert.equal(linesOf(scene, 'warn').length, 1)
  gate.open()
})

test('an upstream that is only slow is heard out: the next pull gets what it says', async () => {
  await using scene = await startScene()
  scene.upstream.content.addImage('app', image, 'v1')
  await scene.manifest('v1')
  const moved = imageFixture({ seed: 2 })
  scene.upstream.content.addImage('app', moved, 'v1')
  const gate = new Gate()
  const heads = () => scene.count(/^HEAD .*manifests/)
  // The second question is the one that no client waits for.
  const slow: Behaviour = (request, next) => (heads() === 2 ? next() : holding(gate)(request, next))
  scene.upstream.use(slow, { on: /^HEAD .*manifests/ })
  const stale = await scene.manifest('v1')
  assert.equal(stale.header('x-cache'), 'STALE')
  assert.equal(stale.header('docker-content-digest'), image.root.digest)
  await until('it is asked again', () => heads() === 2)
  await until('what it said is served', async () => {
    const reply = await scene.manifest('v1')
    return reply.header('docker-content-digest') === moved.root.digest
  })
  gate.open()
})
