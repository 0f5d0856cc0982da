/**
 * The bounds of the disk: pushes are refused in time and told why, the cache gives back first, and what
 * is there is served as ever.
 */
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { addImage, diskUsage, isStored, pullImage } from '../support/cached-images.ts'
import { configure, pathOf, proxyConfig, startScene } from '../support/pull-through.ts'
import { assertError, makeBlob, pushTag, startSession } from '../support/push-steps.ts'
import type { Reply } from '../support/http-client.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

/** More than any disk has. */
const everything = '{"min_free": "4PB"}'

function withStorage(host: string, storage: object): string {
  const proxies = JSON.parse(proxyConfig([{ host, insecure: true }])) as object
  return JSON.stringify({ ...proxies, storage })
}

function pushOf(registry: Registry, bytes: Buffer, digest: string): Promise<Reply> {
  const path = `/v2/app/blobs/uploads/?digest=${digest}`
  return registry.request('POST', path, { body: bytes })
}

describe('storage.max_size', () => {
  test('refuses what would be more, in any way it is pushed, and nothing else', async () => {
    await using registry = await startRegistry({ config: 'storage: {max_size: 1MB}\n' })
    const [small, large, rest] = [
      makeBlob('small', 400_000),
      makeBlob('large', 900_000),
      makeBlob('rest', 500_000),
    ]
    await registry.pushBlob('app', small)
    const refused = await pushOf(registry, large.bytes, large.digest)
    assertError(refused, 507, 'STORAGE_FULL')
    assert.match(refused.body.toString(), /storage\.max_size/)
    assert.equal(refused.header('retry-after'), '60')
    const location = await startSession(registry, 'app')
    assertError(
      await registry.request('PATCH', location, { body: large.bytes }),
      507,
      'STORAGE_FULL',
    )
    const chunked = { body: large.bytes, headers: { 'transfer-encoding': 'chunked' } }
    assertError(await registry.request('PATCH', location, chunked), 507, 'STORAGE_FULL')
    // Nothing of it is kept, so what fits is let in.
    const staged = await registry.request('GET', location)
    assert.equal(staged.header('range'), '0-0')
    assert.equal((await pushOf(registry, rest.bytes, rest.digest)).status, 201)
    const got = await registry.request('GET', `/v2/app/blobs/${small.digest}`)
    assert.ok(got.body.equals(small.bytes))
    const { body } = await registry.request('GET', '/metrics')
    assert.match(body.toString(), /^trow_storage_refused_pushes_total [3-9]/m)
    assert.match(body.toString(), /^trow_storage_free_bytes [1-9]\d+/m)
  })

  test('has room again when something was deleted and collected', async () => {
    await using registry = await startRegistry({ config: 'storage: {max_size: 1MB}\n' })
    const [first, second] = [makeBlob('first', 700_000), makeBlob('second', 700_000)]
    await registry.pushBlob('app', first)
    assertError(await pushOf(registry, second.bytes, second.digest), 507, 'STORAGE_FULL')
    await registry.request('DELETE', `/v2/app/blobs/${first.digest}`)
    await registry.request('POST', '/api/gc')
    assert.equal((await pushOf(registry, second.bytes, second.digest)).status, 201)
  })

  test('takes from the cache what a push needs', async () => {
    await using scene = await startScene()
    const { registry, host } = scene
    const images = ['a', 'b', 'c'].map((name) => addImage(scene, name, { [name]: 200_000 }))
    for (const image of images) await pullImage(scene, image)
    await configure(registry, withStorage(host, { max_size: '1MB' }))
    const blob = makeBlob('pushed', 700_000)
    assert.equal((await pushOf(registry, blob.bytes, blob.digest)).status, 201)
    const [oldest, , newest] = images
    assert.ok(oldest && newest)
    assert.equal(await isStored(registry, oldest.manifest.digest), false)
    assert.ok((await diskUsage(registry)) <= 1_000_000)
    for (const image of images) await pullImage(scene, image)
  })
})

describe('storage.min_free', () => {
  test('refuses pushes before the disk is used up; what is there is pulled, and deleted', async () => {
    await using registry = await startRegistry({ config: 'log_level: info\n' })
    const image = await pushTag(registry, 'app', 'v1')
    const location = await startSession(registry, 'app')
    await configure(registry, `storage: ${everything}\n`)
    const blob = makeBlob('more')
    for (const reply of [
      await pushOf(registry, blob.bytes, blob.digest),
      await registry.request('POST', '/v2/app/blobs/uploads/'),
      await registry.request('PATCH', location, { body: blob.bytes }),
      await registry.request('PUT', '/v2/app/manifests/v2', {
        body: image.bytes,
        headers: { 'content-type': image.mediaType },
      }),
    ]) {
      assertError(reply, 507, 'STORAGE_FULL')
      assert.match(reply.body.toString(), /storage\.min_free/)
    }
    assert.equal((await registry.request('GET', '/v2/app/manifests/v1')).status, 200)
    assert.equal((await registry.request('GET', '/readiness')).status, 200)
    // What takes no room is let through.
    const mount = `/v2/other/blobs/uploads/?mount=${JSON.parse(image.bytes.toString()).config.digest}&from=app`
    assert.equal((await registry.request('POST', mount)).status, 201)
    assert.equal((await registry.request('DELETE', '/v2/app/manifests/v1')).status, 202)
    const staged = readdirSync(join(registry.dataDirectory, 'uploads'))
    const sizes = staged.map((name) => statSync(join(registry.dataDirectory, 'uploads', name)).size)
    assert.deepEqual(new Set(sizes), new Set([0]))
  })

  test('has the cache pass on what it has no room for, and give back what it has', async () => {
    await using scene = await startScene()
    const { registry, host } = scene
    const [cached, fresh] = ['a', 'b'].map((name) => addImage(scene, name, { [name]: 100_000 }))
    assert.ok(cached && fresh)
    await pullImage(scene, cached)
    await configure(registry, withStorage(host, { min_free: '4PB' }))
    for (const { digest, bytes } of fresh.blobs) {
      const reply = await registry.request('GET', `${pathOf(scene, 'app')}/blobs/${digest}`)
      assert.ok(reply.status === 200 && reply.body.equals(bytes))
    }
    await until('the cache has given back what it had', async () => {
      return !(await isStored(registry, cached.manifest.digest))
    })
    for (const { digest } of fresh.blobs) assert.equal(await isStored(registry, digest), false)
  })
})
