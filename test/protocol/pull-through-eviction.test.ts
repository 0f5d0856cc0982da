/**
 * 37. The cache within `max_size`: what was not used for longest goes, whole images at a time; what
 * was pushed, what is being fetched and what is being read stays; what has gone is fetched again.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, test } from 'node:test'
import {
  addImage,
  addIndex,
  type CachedImage,
  cacheImage,
  diskUsage,
  isStored,
  pullImage,
  storedImages,
} from '../support/cached-images.ts'
import type { Reply } from '../support/http-client.ts'
import { pathOf, type Scene, startScene } from '../support/pull-through.ts'
import { makeBlob } from '../support/push-steps.ts'
import { until } from '../support/until.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** Bytes, of which eviction begins above 95 % and ends at 85 %. */
function startWith(maxSize: number | undefined): Promise<Scene> {
  return startScene({ settings: maxSize === undefined ? {} : { max_size: maxSize } })
}

function evictions(scene: Scene): number {
  return scene.registry.logs().filter(({ msg }) => msg.startsWith('cached content was evicted'))
    .length
}

function errors(scene: Scene): string[] {
  return scene.registry
    .logs()
    .filter(({ level }) => level === 'error')
    .map(({ msg }) => msg)
}

async function metric(scene: Scene, name: string): Promise<number> {
  const text = (await scene.registry.request('GET', '/metrics')).body.toString()
  const [, value] = new RegExp(`^${name} (.+)$`, 'm').exec(text) ?? []
  return Number(value)
}

describe('a cache that is smaller than what is pulled', () => {
  test('is never larger than it may be and what is on its way, and ends below 85 %', async () => {
    const maxSize = 4 * MiB
    await using scene = await startWith(maxSize)
    const layers = { first: 200 * KiB, second: 100 * KiB }
    const images = Array.from({ length: 60 }, (_, index) =>
      addImage(
        scene,
        `v${index}`,
        Object.fromEntries(
          Object.entries(layers).map(([name, size]) => [`${name} ${index}`, size]),
        ),
        `app${index % 3}`,
      ),
    )
    const pullers = 4
    const largest = { bytes: 0 }
    const done = new AbortController()
    const watching = (async () => {
      while (!done.signal.aborted) {
        largest.bytes = Math.max(largest.bytes, await diskUsage(scene.registry))
        await delay(5)
      }
    })()
    const waiting = [...images]
    await Promise.all(
      Array.from({ length: pullers }, async () => {
        for (let image = waiting.shift(); image !== undefined; image = waiting.shift()) {
          const caches = await pullImage(scene, image)
          // The digest comes after the tag, from the cache.
          assert.deepEqual([...new Set(caches)], ['MISS', 'HIT'])
        }
      }),
    )
    done.abort()
    await watching
    const imageBytes = 301 * KiB
    assert.ok(largest.bytes > 2 * MiB)
    assert.ok(largest.bytes < maxSize + pullers * imageBytes, `${largest.bytes} bytes`)
    // So much that it needs room, wherever between the two watermarks the cache is now.
    await cacheImage(scene, addImage(scene, 'last', { last: maxSize / 4 }))
    await until('it is small', async () => (await diskUsage(scene.registry)) <= 0.85 * maxSize)
    const used = await diskUsage(scene.registry)
    assert.ok(used > 0.6 * maxSize, `no more goes than has to: ${used} are left`)
    const stored = await storedImages(scene.registry, images)
    assert.ok(stored.length > 5)
    assert.ok(
      stored.every((tag) => Number(tag.slice(1)) > 40),
      stored.join(),
    )
    assert.deepEqual(errors(scene), [])
    assert.equal(await metric(scene, 'trow_cache_max_bytes'), maxSize)
    assert.ok((await metric(scene, 'trow_cache_evictions_total')) >= 60 - stored.length - pullers)
    const evicted = await metric(scene, 'trow_cache_evicted_bytes_total')
    assert.ok(evicted > 10 * MiB && evicted < 20 * MiB, `${evicted} bytes`)
    const measured = await metric(scene, 'trow_cache_bytes')
    assert.ok(measured > 0.6 * maxSize && measured <= 0.85 * maxSize, `${measured} bytes`)
  })

  test('keeps what was used last, and asking for a tag with HEAD is a use', async () => {
    await using scene = await startWith(MiB)
    const image = (tag: string) => addImage(scene, tag, { [`layer of ${tag}`]: 200 * KiB })
    const [a, b, c, d] = [image('a'), image('b'), image('c'), image('d')]
    for (const each of [a, b, c, d]) await cacheImage(scene, each)
    await scene.manifest('a', 'HEAD')
    await cacheImage(scene, image('e'))
    for (const { digest } of [b.manifest, ...b.blobs]) {
      await until('all of b is gone', async () => !(await isStored(scene.registry, digest)))
    }
    assert.deepEqual(await storedImages(scene.registry, [a, b, c, d]), ['a', 'c', 'd'])
    assert.deepEqual((await scene.tags()).includes('b'), true, 'the list is the upstream’s')
    await scene.registry.restart()
    await cacheImage(scene, image('f'))
    await until('c is gone', async () => !(await isStored(scene.registry, c.manifest.digest)))
    assert.deepEqual(await storedImages(scene.registry, [a, b, c, d]), ['a', 'd'])
  })

  test('keeps the images of an index whose tag alone is asked for', async () => {
    await using scene = await startWith(MiB)
    const image = (tag: string) => addImage(scene, tag, { [`layer of ${tag}`]: 200 * KiB })
    const [amd64, arm64, other] = [image('amd64'), image('arm64'), image('other')]
    const index = addIndex(scene, 'index', [amd64, arm64])
    await scene.manifest('index')
    for (const each of [amd64, arm64, other]) await cacheImage(scene, each)
    await scene.manifest('index', 'HEAD')
    for (const tag of ['x', 'y']) await cacheImage(scene, image(tag))
    await until('it is gone', async () => !(await isStored(scene.registry, other.manifest.digest)))
    assert.deepEqual(await storedImages(scene.registry, [amd64, arm64]), ['amd64', 'arm64'])
    assert.equal(await isStored(scene.registry, index.digest), true)
  })

  test('counts what images share once, and keeps it for those that are left', async () => {
    await using scene = await startWith(MiB)
    const image = (tag: string, bytes: number) =>
      addImage(scene, tag, { base: 200 * KiB, [`layer of ${tag}`]: bytes }, `app-${tag}`)
    const small = Array.from({ length: 8 }, (_, index) => image(`small${index}`, 10 * KiB))
    for (const each of small) await cacheImage(scene, each)
    assert.equal((await storedImages(scene.registry, small)).length, 8)
    assert.equal(evictions(scene), 0)
    // The first and the small ones have to go, and suffice even while the base is on its way again.
    const large = ['a', 'b', 'c'].map((tag) => image(tag, 232 * KiB))
    for (const each of large) await cacheImage(scene, each)
    await until('the first ones are gone', () => evictions(scene) > 0)
    assert.deepEqual(await storedImages(scene.registry, [...small, ...large]), ['b', 'c'])
    const pulled = await pullImage(scene, small[0] ?? large[0]!)
    // The layers come again; the base, too, as this repository does not have it any more.
    assert.deepEqual(pulled, ['MISS', 'HIT', 'MISS', 'MISS', 'MISS'])
  })
})

describe('what was pushed', () => {
  test('is never evicted, nor what is both pushed and cached', async () => {
    await using scene = await startWith(MiB)
    const { registry } = scene
    const own = makeBlob('pushed layer', 400 * KiB)
    const both = addImage(scene, 'both', { 'shared layer': 200 * KiB })
    const later = addImage(scene, 'later', { 'layer pushed later': 200 * KiB })
    const push = async (repository: string, { manifest, blobs }: typeof both): Promise<void> => {
      for (const blob of blobs) await registry.pushBlob(repository, blob)
      await registry.pushManifest(repository, 'v1', manifest)
    }
    await registry.pushBlob('own/app', own)
    await push('own/both', both)
    for (const each of [both, later]) await cacheImage(scene, each)
    await push('own/later', later)
    for (let index = 0; index < 20; index += 1) {
      await cacheImage(scene, addImage(scene, `v${index}`, { [`layer ${index}`]: 200 * KiB }))
    }
    await until('it is gone from the cache', () => evictions(scene) > 2)
    assert.deepEqual(await storedImages(registry, [both, later]), ['both', 'later'])
    for (const [repository, { manifest, blobs }] of [
      ['own/both', both],
      ['own/later', later],
    ] as const) {
      const got = await registry.request('GET', `/v2/${repository}/manifests/v1`)
      assert.ok(got.body.equals(manifest.bytes))
      for (const { digest, bytes } of blobs) {
        const blob = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
        assert.ok(blob.body.equals(bytes))
      }
    }
    const blob = await registry.request('GET', `/v2/own/app/blobs/${own.digest}`)
    assert.ok(blob.body.equals(own.bytes))
    // In the cache it is gone, and comes again from the upstream.
    assert.equal((await scene.manifest('both')).header('x-cache'), 'MISS')
    // What was pushed is none of the cache's size: 1 MiB of the cache, 800 KiB of pushes.
    assert.ok((await diskUsage(registry)) > 1.4 * MiB)
    assert.deepEqual(errors(scene), [])
  })

  test('stays although its bytes came from the cache, by a mount', async () => {
    await using scene = await startWith(MiB)
    const image = addImage(scene, 'v1', { layer: 300 * KiB })
    await cacheImage(scene, image)
    const base = `/v2/own/app`
    for (const { digest } of image.blobs) {
      const mounted = await scene.registry.request('POST', `${base}/blobs/uploads/?mount=${digest}`)
      assert.equal(mounted.status, 201, mounted.body.toString())
    }
    await scene.registry.pushManifest('own/app', 'v1', image.manifest)
    for (const tag of ['a', 'b', 'c', 'd', 'e']) {
      await cacheImage(scene, addImage(scene, tag, { [`layer of ${tag}`]: 250 * KiB }))
    }
    await until('it is gone from the cache', () => evictions(scene) > 0)
    for (const { digest, bytes } of image.blobs) {
      const blob = await scene.registry.request('GET', `${base}/blobs/${digest}`)
      assert.ok(blob.body.equals(bytes))
    }
  })
})

describe('what was evicted', () => {
  test('is fetched again when it is asked for, and served as before', async () => {
    await using scene = await startWith(MiB)
    const image = addImage(scene, 'first', { layer: 300 * KiB })
    const others = ['a', 'b', 'c'].map((tag) =>
      addImage(scene, tag, { [`layer of ${tag}`]: 250 * KiB }),
    )
    await cacheImage(scene, image)
    const [layer] = image.blobs.slice(1)
    assert.ok(layer)
    for (const each of others) await cacheImage(scene, each)
    await until('it is gone', async () => !(await isStored(scene.registry, layer.digest)))
    // containerd has the manifest and asks for the layers by digest.
    const blob = await scene.blob(layer.digest)
    assert.equal(blob.header('x-cache'), 'MISS')
    assert.ok(blob.body.equals(layer.bytes))
    await scene.kept(layer.digest)
    assert.deepEqual(await pullImage(scene, image), ['MISS', 'HIT', 'MISS', 'HIT'])
    await scene.upstream[Symbol.asyncDispose]()
    assert.equal((await scene.manifest('first')).header('x-cache'), 'STALE')
  })

  test('is not known any more when its upstream is gone', async () => {
    await using scene = await startWith(MiB)
    const [first, ...others] = ['first', 'a', 'b', 'c'].map((tag) =>
      addImage(scene, tag, { [`layer of ${tag}`]: 260 * KiB }, `app-${tag}`),
    )
    const [last] = others.slice(-1)
    assert.ok(first && last)
    await cacheImage(scene, first)
    for (const each of others) await cacheImage(scene, each)
    await until('it is gone', async () => !(await isStored(scene.registry, first.manifest.digest)))
    await scene.upstream[Symbol.asyncDispose]()
    const head = async ({ manifest, repository }: CachedImage): Promise<Reply> =>
      scene.registry.request('HEAD', `${pathOf(scene, repository)}/manifests/${manifest.digest}`)
    assert.equal((await head(first)).status, 502)
    assert.equal((await head(last)).header('x-cache'), 'HIT')
    assert.deepEqual(await scene.tags(last.repository), ['c'])
  })
})

describe('what is in use', () => {
  test('stays while a client reads it, and goes after that', async () => {
    await using scene = await startWith(24 * MiB)
    const large = addImage(scene, 'large', { large: 16 * MiB })
    await cacheImage(scene, large)
    const [, layer] = large.blobs
    assert.ok(layer)
    using client = await scene.openBlob(layer.digest)
    assert.equal((await client.readHead()).headers['x-cache'], 'HIT')
    assert.ok(layer.bytes.subarray(0, MiB).equals(await client.readBytes(MiB)))
    const fetchMore = async (name: string): Promise<void> => {
      for (let index = 0; index < 8; index += 1) {
        const tag = `${name}${index}`
        await cacheImage(scene, addImage(scene, tag, { [`layer of ${tag}`]: 2 * MiB }))
      }
    }
    await fetchMore('a')
    await until('something was evicted', () => evictions(scene) > 0)
    assert.deepEqual(await storedImages(scene.registry, [large]), ['large'])
    const again = await scene.blob(layer.digest, { range: `bytes=${15 * MiB}-` })
    assert.equal(again.status, 206)
    assert.ok(again.body.equals(layer.bytes.subarray(15 * MiB)))
    assert.ok(layer.bytes.subarray(MiB).equals(await client.readBytes(15 * MiB)))
    await fetchMore('b')
    await until('it is gone', async () => !(await isStored(scene.registry, layer.digest)))
  })

  test('is fetched to its end, however full the cache is', async () => {
    await using scene = await startWith(MiB)
    const held = scene.addHeldBlob('held', 600 * KiB, 300 * KiB)
    using client = await scene.openBlob(held.digest)
    await client.readHead()
    for (let index = 0; index < 6; index += 1) {
      await cacheImage(scene, addImage(scene, `v${index}`, { [`layer ${index}`]: 200 * KiB }))
    }
    held.gate.open()
    assert.ok(held.bytes.equals(await client.readBytes(held.bytes.length)))
    await scene.kept(held.digest)
    assert.equal((await scene.blob(held.digest)).header('x-cache'), 'HIT')
  })

  test('a blob larger than the cache may be comes through, and nothing of it is kept', async () => {
    await using scene = await startWith(MiB)
    const { digest, bytes } = scene.addBlob('huge', 2 * MiB)
    for (let count = 0; count < 3; count += 1) {
      const reply = await scene.blob(digest)
      assert.equal(reply.status, 200)
      assert.equal(reply.header('x-cache'), 'MISS')
      assert.ok(reply.body.equals(bytes))
    }
    const part = await scene.blob(digest, { range: 'bytes=1000-1999' })
    assert.ok(part.body.equals(bytes.subarray(1000, 2000)))
    assert.equal(await diskUsage(scene.registry), 0)
    const told = scene.registry.logs().filter(({ msg }) => msg.includes('larger than'))
    assert.equal(told.length, 1)
    assert.equal(told[0]?.['digest'], digest)
  })
})

describe('max_size', () => {
  test('cuts the cache down when it is set while the registry runs', async () => {
    await using scene = await startWith(undefined)
    const { registry, host } = scene
    const images = Array.from({ length: 10 }, (_, index) =>
      addImage(scene, `v${index}`, { [`layer ${index}`]: 200 * KiB }),
    )
    for (const image of images) await cacheImage(scene, image)
    assert.equal(await metric(scene, 'trow_cache_max_bytes'), 0)
    const registries = [{ host, insecure: true }]
    const config = { registry_proxies: { registries, max_size: '1MiB' } }
    await writeFile(registry.configFile, JSON.stringify(config))
    registry.signal('SIGHUP')
    await until('the cache is small', async () => (await diskUsage(registry)) <= 0.85 * MiB)
    assert.deepEqual(await storedImages(registry, images), ['v6', 'v7', 'v8', 'v9'])
    assert.equal(await metric(scene, 'trow_cache_max_bytes'), MiB)
  })

  test('is kept to from the start', async () => {
    await using scene = await startWith(undefined)
    const images = Array.from({ length: 10 }, (_, index) =>
      addImage(scene, `v${index}`, { [`layer ${index}`]: 200 * KiB }),
    )
    for (const image of images) await cacheImage(scene, image)
    // Only their order is known of what was used a moment ago, and it outlives a restart.
    await scene.manifest('v0', 'HEAD')
    const registries = [{ host: scene.host, insecure: true }]
    const config = JSON.stringify({ registry_proxies: { registries, max_size: '1MiB' } })
    await scene.registry.restart({ config })
    await until('it is small', async () => (await diskUsage(scene.registry)) <= 0.85 * MiB)
    assert.deepEqual(await storedImages(scene.registry, images), ['v0', 'v7', 'v8', 'v9'])
  })
})

test('a manifest whose bytes were damaged is fetched and kept again', async () => {
  await using scene = await startWith(MiB)
  const { manifest } = addImage(scene, 'v1', {})
  await scene.manifest('v1')
  const [, hex = ''] = manifest.digest.split(':')
  const path = join(scene.registry.dataDirectory, 'blobs/sha256', hex.slice(0, 2), hex)
  await writeFile(path, Buffer.alloc(manifest.bytes.length))
  await scene.registry.restart()
  for (const cache of ['MISS', 'HIT']) {
    const reply = await scene.manifest(manifest.digest)
    assert.ok(reply.body.equals(manifest.bytes))
    assert.equal(reply.header('x-cache'), cache)
  }
  await scene.registry.restart()
  assert.equal((await scene.manifest(manifest.digest)).header('x-cache'), 'HIT')
})
