/**
 * `prefetch: layers`: what an image consists of is on its way as soon as its manifest was asked for,
 * in transfers that clients join; nobody waits for that, and nothing fails with it.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { limits } from '../../src/config/limits.ts'
import { failing, Gate, holding, rateLimiting } from '../support/fake-upstream-behaviours.ts'
import type { Behaviour } from '../support/fake-upstream.ts'
import { type Content, imageFixture } from '../support/image-fixture.ts'
import { openDescriptors } from '../support/open-descriptors.ts'
import { proxyConfig, type Scene, startScene } from '../support/pull-through.ts'
import { assertError, makeBlob, makeManifest, ociIndex } from '../support/push-steps.ts'
import { until } from '../support/until.ts'

const { prefetchTransfersMax } = limits
const image = imageFixture({ layers: 2, layerBytes: 50_000 })
/** More than may be fetched at a time. */
const large = imageFixture({ layers: prefetchTransfersMax + 3, layerBytes: 200_000, seed: 3 })

async function startPrefetching(registry: { flags?: string[] } = {}): Promise<Scene> {
  const scene = await startScene({ settings: { prefetch: 'layers' }, registry })
  scene.upstream.content.addImage('app', image, 'v1').addImage('app', large, 'large')
  return scene
}

function digestsOf(blobs: readonly Pick<Content, 'digest'>[]): string[] {
  return blobs.map(({ digest }) => digest).toSorted()
}

/** Digests of the blobs that the upstream was asked for, as often as it was. */
function blobsAsked({ upstream }: Scene): string[] {
  return upstream.log.flatMap((line) => /^GET .*\/blobs\/(.*)$/.exec(line)?.[1] ?? []).toSorted()
}

async function allKept(scene: Scene, blobs: readonly Pick<Content, 'digest'>[]): Promise<void> {
  for (const { digest } of blobs) await scene.kept(digest)
}

describe('an image whose manifest is asked for', () => {
  for (const method of ['HEAD', 'GET']) {
    test(`by tag with ${method} is fetched with all its layers, once`, async () => {
      await using scene = await startPrefetching()
      assert.equal((await scene.manifest('v1', method)).header('x-cache'), 'MISS')
      await allKept(scene, image.blobs)
      for (const { digest, bytes } of image.blobs) {
        const reply = await scene.blob(digest)
        assert.equal(reply.header('x-cache'), 'HIT')
        assert.ok(reply.body.equals(bytes))
      }
      assert.deepEqual(blobsAsked(scene), digestsOf(image.blobs))
      assert.deepEqual(await scene.listStaged(), [])
      await until('no blob is open any more', async () => {
        const open = await openDescriptors(scene.registry.pid)
        return !open.some((target) => /\/(?:uploads|blobs)\//.test(target))
      })
    })
  }

  test('by digest is, too', async () => {
    await using scene = await startPrefetching()
    await scene.manifest(image.root.digest)
    await allKept(scene, image.blobs)
  })

  test('is answered before any of its layers is here', async () => {
    await using scene = await startPrefetching()
    const gate = new Gate()
    scene.upstream.use(holding(gate), { on: /blobs/ })
    assert.equal((await scene.manifest('v1')).status, 200)
    gate.open()
    await allKept(scene, image.blobs)
  })

  test('is fetched again when its tag has moved, but for what is here', async () => {
    await using scene = await startPrefetching()
    await scene.manifest('v1')
    await allKept(scene, image.blobs)
    const [config = image.root, layer = image.root] = image.manifests.flatMap(({ bytes }) => {
      const { config, layers } = JSON.parse(bytes.toString()) as Record<string, [typeof image.root]>
      return [config as unknown as typeof image.root, ...(layers ?? [])]
    })
    const added = scene.addBlob('added', 1000)
    const mediaType = 'application/vnd.oci.image.layer.v1.tar'
    const layers = [layer, { mediaType, digest: added.digest, size: 1000 }]
    scene.upstream.content.addManifest('app', makeManifest({ config, layers }), 'v1')
    assert.equal((await scene.manifest('v1')).header('x-cache'), 'MISS')
    await scene.kept(added.digest)
    assert.deepEqual(blobsAsked(scene), digestsOf([...image.blobs, added]))
  })

  test('is not fetched for being asked for again', async () => {
    await using scene = await startPrefetching()
    scene.upstream.use(failing(404, 'BLOB_UNKNOWN'), { on: /blobs/ })
    await scene.manifest('v1')
    await until('all were asked for', () => blobsAsked(scene).length === image.blobs.length)
    assert.equal((await scene.manifest('v1')).header('x-cache'), 'HIT')
    assert.equal((await scene.manifest(image.root.digest)).header('x-cache'), 'HIT')
    assert.equal(blobsAsked(scene).length, image.blobs.length)
  })
})

describe('of an index', () => {
  test('only those images are fetched whose manifests are asked for', async () => {
    await using scene = await startPrefetching()
    const platforms = ['linux/amd64', 'linux/arm64']
    const index = imageFixture({ layers: 1, layerBytes: 1000, seed: 5, platforms })
    scene.upstream.content.addImage('app', index, 'index')
    assert.equal((await scene.manifest('index')).header('x-cache'), 'MISS')
    const [child] = index.manifests
    assert.ok(child !== undefined)
    await scene.manifest(child.digest)
    const wanted = index.blobs.filter(({ digest }) => child.bytes.includes(digest))
    assert.ok(wanted.length < index.blobs.length)
    await allKept(scene, wanted)
    assert.deepEqual(blobsAsked(scene), digestsOf(wanted))
  })
})

test('of an index that lists layers itself nothing is fetched', async () => {
  await using scene = await startPrefetching()
  const layer = scene.addBlob('of a build cache', 1000)
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  const manifests = [{ mediaType, digest: layer.digest, size: layer.bytes.length }]
  scene.upstream.content.addManifest('app', makeManifest({ manifests }, ociIndex), 'cache')
  assert.equal((await scene.manifest('cache')).status, 200)
  await scene.manifest('v1')
  await allKept(scene, image.blobs)
  assert.equal(blobsAsked(scene).length, image.blobs.length)
})

describe('a layer that is on its way', () => {
  test('is joined by who asks for it', async () => {
    await using scene = await startPrefetching()
    const gate = new Gate()
    scene.upstream.use(holding(gate, 10_000), { on: /blobs/ })
    await scene.manifest('v1')
    const layer = image.blobs.find(({ bytes }) => bytes.length > 50_000)
    assert.ok(layer !== undefined)
    await until('it is on its way', () => blobsAsked(scene).includes(layer.digest))
    using client = await scene.openBlob(layer.digest)
    assert.equal((await client.readHead()).headers['x-cache'], 'COALESCED')
    gate.open()
    assert.ok((await client.readBytes(layer.bytes.length)).equals(layer.bytes))
    await allKept(scene, image.blobs)
    assert.deepEqual(blobsAsked(scene), digestsOf(image.blobs))
  })

  test('is one of a few at a time; one that waits begins when it is asked for', async () => {
    await using scene = await startPrefetching()
    const gate = new Gate()
    scene.upstream.use(holding(gate, 100), { on: /blobs/ })
    await scene.manifest('large')
    await until('as many as may are on their way', async () => {
      return (await scene.listStaged()).length === prefetchTransfersMax
    })
    const begun = blobsAsked(scene)
    assert.equal(begun.length, prefetchTransfersMax)
    const waiting = large.blobs.find(({ digest }) => !begun.includes(digest))
    assert.ok(waiting !== undefined)
    using client = await scene.openBlob(waiting.digest)
    assert.equal((await client.readHead()).headers['x-cache'], 'MISS')
    assert.equal(blobsAsked(scene).length, prefetchTransfersMax + 1)
    gate.open()
    assert.ok((await client.readBytes(waiting.bytes.length)).equals(waiting.bytes))
    await allKept(scene, large.blobs)
    assert.deepEqual(blobsAsked(scene), digestsOf(large.blobs))
  })
})

describe('what goes wrong while layers are fetched ahead', () => {
  const faults: [name: string, behaviour: Behaviour][] = [
    ['an upstream that has none', failing(404, 'BLOB_UNKNOWN')],
    ['an upstream that fails', failing(500)],
    ['a login that does not do', failing(403, 'DENIED')],
  ]
  for (const [name, behaviour] of faults) {
    test(`is told to nobody: ${name}`, async () => {
      await using scene = await startPrefetching({ flags: ['--log-level', 'debug'] })
      const { registry, upstream } = scene
      upstream.use(behaviour, { on: /blobs/ })
      assert.equal((await scene.manifest('v1')).status, 200)
      await registry.logged(({ msg, level }) => msg === 'not fetched ahead' && level === 'debug')
      assert.equal((await scene.manifest(image.root.digest)).header('x-cache'), 'HIT')
      const loud = registry.logs().filter(({ level }) => level === 'warn' || level === 'error')
      assert.deepEqual(loud, [])
    })
  }

  test('is not repeated: an upstream that limits its users is left alone', async () => {
    await using scene = await startPrefetching({ flags: ['--log-level', 'debug'] })
    scene.upstream.use(rateLimiting('60'), { on: /blobs/ })
    await scene.manifest('large')
    const count = () =>
      scene.registry.logs().filter(({ msg }) => msg === 'not fetched ahead').length
    await until('all were given up', () => count() === large.blobs.length)
    assert.ok(blobsAsked(scene).length <= prefetchTransfersMax)
  })

  test('does not keep a client from fetching it later', async () => {
    await using scene = await startPrefetching({ flags: ['--log-level', 'debug'] })
    scene.upstream.use(failing(404), { on: /blobs/, times: image.blobs.length })
    await scene.manifest('v1')
    await until('all were asked for', () => blobsAsked(scene).length === image.blobs.length)
    for (const { digest, bytes } of image.blobs) {
      assert.ok((await scene.blob(digest)).body.equals(bytes))
    }
  })
})

test('layers that are to be had elsewhere are not fetched', async () => {
  await using scene = await startPrefetching()
  const [config, layer, foreign] = ['config', 'layer', 'foreign'].map((seed) => {
    return scene.addBlob(seed, 1000)
  })
  const descriptor = (mediaType: string, blob = makeBlob('none')) => {
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest: blob.digest, size: 1000 }
  }
  const manifest = makeManifest({
    config: descriptor('config.v1+json', config),
    layers: [
      descriptor('layer.nondistributable.v1.tar', foreign),
      descriptor('layer.v1.tar', layer),
    ],
  })
  scene.upstream.content.addManifest('app', manifest, 'foreign')
  await scene.manifest('foreign')
  for (const blob of [config, layer]) await scene.kept(blob?.digest ?? '')
  assert.ok(!blobsAsked(scene).includes(foreign?.digest ?? ''))
})

describe('a registry that fetches ahead', () => {
  test('stops at once when it is asked to, and leaves nothing half-done', async () => {
    await using scene = await startPrefetching()
    const gate = new Gate()
    scene.upstream.use(holding(gate, 100), { on: /blobs/ })
    await scene.manifest('large')
    await until('some are on their way', async () => (await scene.listStaged()).length > 1)
    const start = performance.now()
    await scene.registry.stop()
    assert.ok(performance.now() - start < 10_000)
    assert.deepEqual(await scene.listStaged(), [])
    assert.ok(blobsAsked(scene).length <= prefetchTransfersMax)
    gate.open()
  })

  test('begins no more when that is turned off', async () => {
    await using scene = await startPrefetching()
    const { registry, upstream } = scene
    const gate = new Gate()
    upstream.use(holding(gate, 100), { on: /blobs/ })
    await scene.manifest('large')
    await until('some are on their way', () => blobsAsked(scene).length === prefetchTransfersMax)
    const from = registry.logLength
    await writeFile(registry.configFile, proxyConfig([{ host: upstream.host, insecure: true }]))
    registry.signal('SIGHUP')
    await registry.logged(({ msg }) => msg === 'configuration reloaded', from)
    const begun = blobsAsked(scene)
    gate.open()
    await allKept(
      scene,
      begun.map((digest) => ({ digest })),
    )
    await scene.manifest('v1')
    assert.deepEqual(blobsAsked(scene), begun)
  })

  test('fetches nothing ahead offline', async () => {
    await using scene = await startPrefetching()
    const { registry, upstream } = scene
    upstream.use(failing(404), { on: /blobs/ })
    await scene.manifest('v1')
    await until('all were asked for', () => blobsAsked(scene).length === image.blobs.length)
    const entry = { host: upstream.host, insecure: true }
    const config = proxyConfig([entry], { offline: true, prefetch: 'layers' })
    await registry.restart({ config })
    const { connections } = upstream
    assert.equal((await scene.manifest('v1')).header('x-cache'), 'STALE')
    assertError(await scene.manifest('large'), 404, 'MANIFEST_UNKNOWN')
    assert.equal(upstream.connections, connections)
  })
})
