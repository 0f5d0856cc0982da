/** Deleting tags and manifests: all of it at once, seen by everybody at once, and nothing that is needed. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { imageFixture } from '../support/image-fixture.ts'
import {
  assertError,
  makeManifest,
  ociManifest,
  pushConfig,
  pushTag,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry[Symbol.asyncDispose]())

const url = (repository: string, reference: string) => `/v2/${repository}/manifests/${reference}`

async function status(method: string, path: string): Promise<number> {
  return (await registry.request(method, path)).status
}

describe('deleting', () => {
  test('a tag takes the tag alone: the manifest and its other tags stay', async () => {
    const repository = 'delete/tag'
    const manifest = await pushTag(registry, repository, 'one')
    await registry.pushManifest(repository, 'two', manifest)
    // Read before, so that a cache would have it.
    assert.equal(await status('GET', url(repository, 'one')), 200)
    const reply = await registry.request('DELETE', url(repository, 'one'))
    assert.deepEqual([reply.status, reply.body.length], [202, 0])
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      assert.equal(await status(method, url(repository, 'one')), 404)
    }
    assert.equal(await status('GET', url(repository, 'two')), 200)
    assert.equal(await status('GET', url(repository, manifest.digest)), 200)
  })

  test('a manifest takes every tag that points at it, and no other', async () => {
    const repository = 'delete/manifest'
    const manifest = await pushTag(registry, repository, 'a')
    await registry.pushManifest(repository, 'b', manifest)
    const other = await pushTag(registry, repository, 'c')
    for (const reference of ['a', 'b', 'c', manifest.digest]) {
      assert.equal(await status('GET', url(repository, reference)), 200)
    }
    const target = url(repository, manifest.digest.replace(':', '%3A'))
    assert.equal(await status('DELETE', target), 202)
    for (const reference of ['a', 'b', manifest.digest]) {
      assert.equal(await status('GET', url(repository, reference)), 404)
    }
    const tags = await registry.request('GET', `/v2/${repository}/tags/list`)
    assert.deepEqual(tags.json(), { name: repository, tags: ['c'] })
    assert.equal(await status('GET', url(repository, other.digest)), 200)
    assert.equal(await status('DELETE', target), 404)
  })

  test('a manifest leaves it in other repositories', async () => {
    const manifest = await pushTag(registry, 'delete/here', 'v1')
    await pushConfig(registry, 'delete/there')
    await registry.pushManifest('delete/there', 'v1', manifest)
    assert.equal(await status('DELETE', url('delete/here', manifest.digest)), 202)
    assert.equal(await status('GET', url('delete/there', 'v1')), 200)
  })

  test('a child of an index is refused by the index, which is deleted first', async () => {
    const repository = 'delete/child'
    const platforms = ['linux/amd64', 'linux/arm64']
    const image = imageFixture({ platforms, layers: 1, layerBytes: 1000 })
    await registry.push(repository, 'v1', image)
    const [child] = image.manifests
    const reply = await registry.request('DELETE', url(repository, child!.digest))
    assertError(reply, 405, 'DENIED')
    assert.match(reply.body.toString(), new RegExp(image.root.digest))
    assert.equal(await status('GET', url(repository, child!.digest)), 200)
    assert.equal(await status('DELETE', url(repository, image.root.digest)), 202)
    assert.equal(await status('DELETE', url(repository, child!.digest)), 202)
  })

  test('what a referrer is about leaves the referrer', async () => {
    const repository = 'delete/subject'
    const subject = await pushTag(registry, repository, 'v1')
    const config = await pushConfig(registry, repository)
    const descriptor = {
      mediaType: ociManifest,
      digest: subject.digest,
      size: subject.bytes.length,
    }
    const referrer = makeManifest({ config, layers: [], subject: descriptor })
    await registry.pushManifest(repository, referrer.digest, referrer)
    assert.equal(await status('DELETE', url(repository, subject.digest)), 202)
    assert.equal(await status('GET', url(repository, referrer.digest)), 200)
    const list = `/v2/${repository}/referrers/${subject.digest}`
    const { manifests } = (await registry.request('GET', list)).json() as { manifests: object[] }
    assert.equal(manifests.length, 1)
    assert.equal(await status('DELETE', url(repository, referrer.digest)), 202)
    const after = (await registry.request('GET', list)).json() as { manifests: object[] }
    assert.equal(after.manifests.length, 0)
  })

  test('and pushing again brings it back', async () => {
    const manifest = await pushTag(registry, 'delete/back', 'v1')
    assert.equal(await status('DELETE', url('delete/back', manifest.digest)), 202)
    await registry.pushManifest('delete/back', 'v1', manifest)
    const got = await registry.request('GET', url('delete/back', 'v1'))
    assert.ok(got.body.equals(manifest.bytes))
  })

  test('is still so after the server was killed', async () => {
    const manifest = await pushTag(registry, 'delete/durable', 'v1')
    assert.equal(await status('DELETE', url('delete/durable', manifest.digest)), 202)
    await registry.kill()
    await registry.restart()
    assert.equal(await status('GET', url('delete/durable', 'v1')), 404)
    assert.equal(await status('GET', url('delete/durable', manifest.digest)), 404)
  })
})

test('a manifest and its tags are never seen half deleted or half pushed', async () => {
  const repository = 'delete/atomic'
  const tags = Array.from({ length: 8 }, (_, index) => `tag-${index}`)
  const manifest = await pushTag(registry, repository, 'tag-0')
  const query = tags.map((tag) => `tag=${tag}`).join('&')
  const stop = new AbortController()
  const watch = async () => {
    const seen = new Set<number>()
    while (!stop.signal.aborted) {
      const reply = await registry.request('GET', `/v2/${repository}/tags/list`)
      seen.add((reply.json() as { tags: string[] }).tags.length)
    }
    return seen
  }
  const watching = [watch(), watch()]
  for (let round = 0; round < 25; round += 1) {
    await registry.pushManifest(repository, `${manifest.digest}?${query}`, manifest)
    assert.equal(await status('DELETE', url(repository, manifest.digest)), 202)
  }
  stop.abort()
  for (const seen of await Promise.all(watching)) {
    for (const count of seen) assert.ok([0, 1, 8].includes(count), `saw ${count} tags`)
  }
})
