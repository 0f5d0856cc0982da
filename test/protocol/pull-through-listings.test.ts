/** Lists of upstreams: tags by pages, referrers through the API or the fallback tag. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { failing } from '../support/fake-upstream-behaviours.ts'
import { type Descriptor, imageFixture } from '../support/image-fixture.ts'
import { pathOf, type Scene, startScene } from '../support/pull-through.ts'
import { assertError, makeManifest, ociIndex, ociManifest } from '../support/push-steps.ts'

const image = imageFixture({ layers: 1, layerBytes: 1000 })
const { digest } = image.root
const config: Descriptor = { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: 2 }
const artifacts = ['application/vnd.sbom', 'application/vnd.signature'].map((artifactType) =>
  makeManifest({ artifactType, config, layers: [], subject: image.root, annotations: { a: 'b' } }),
)

interface Index {
  readonly mediaType: string
  readonly schemaVersion: number
  readonly manifests: readonly { readonly digest: string; readonly artifactType?: string }[]
}

async function startWithReferrers(): Promise<Scene> {
  const scene = await startScene()
  scene.upstream.content.addImage('app', image, 'v1')
  for (const artifact of artifacts) scene.upstream.content.addManifest('app', artifact)
  return scene
}

async function referrers(scene: Scene, subject: string, query = ''): Promise<Index> {
  const path = `${scene.path('referrers', subject)}${query}`
  const reply = await scene.registry.request('GET', path)
  assert.equal(reply.status, 200, reply.body.toString())
  assert.equal(reply.header('content-type'), ociIndex)
  const index = reply.json() as Index
  assert.deepEqual([index.mediaType, index.schemaVersion], [ociIndex, 2])
  return index
}

describe('36. referrers', () => {
  test('are those that the upstream lists, with all it says of them', async () => {
    await using scene = await startWithReferrers()
    const { manifests } = await referrers(scene, digest)
    const expected = artifacts.map(({ digest: artifact, bytes }, index) => ({
      mediaType: ociManifest,
      digest: artifact,
      size: bytes.length,
      artifactType: ['application/vnd.sbom', 'application/vnd.signature'][index],
      annotations: { a: 'b' },
    }))
    assert.deepEqual(manifests, expected)
  })

  test('are those of the fallback tag, where the upstream has no such list', async () => {
    await using scene = await startWithReferrers()
    const [artifact] = artifacts
    assert.ok(artifact !== undefined)
    const descriptor = {
      mediaType: ociManifest,
      digest: artifact.digest,
      size: artifact.bytes.length,
      artifactType: 'application/vnd.sbom',
    }
    const list = makeManifest({ manifests: [descriptor] }, ociIndex)
    scene.upstream.content.addManifest('app', list, digest.replace(':', '-'))
    scene.upstream.use(failing(404), { on: /referrers/ })
    const { manifests } = await referrers(scene, digest)
    assert.deepEqual(manifests, [descriptor])
  })

  test('are filtered by artifactType, and the answer says so', async () => {
    await using scene = await startWithReferrers()
    const query = '?artifactType=application/vnd.sbom'
    const { manifests } = await referrers(scene, digest, query)
    assert.deepEqual(
      manifests.map((manifest) => manifest.digest),
      [artifacts[0]?.digest],
    )
    const path = `${scene.path('referrers', digest)}${query}`
    const reply = await scene.registry.request('GET', path)
    assert.equal(reply.header('oci-filters-applied'), 'artifactType')
  })

  test('are none, and no error, of what has none or does not exist', async () => {
    await using scene = await startWithReferrers()
    const nothing = `sha256:${'0'.repeat(64)}`
    assert.deepEqual((await referrers(scene, nothing)).manifests, [])
    scene.upstream.use(failing(404), { on: /referrers/ })
    assert.deepEqual((await referrers(scene, digest)).manifests, [])
  })

  test('that were pulled are listed when the upstream is gone', async () => {
    await using scene = await startWithReferrers()
    for (const artifact of artifacts) await scene.manifest(artifact.digest)
    await scene.upstream[Symbol.asyncDispose]()
    const { manifests } = await referrers(scene, digest)
    assert.deepEqual(
      manifests.map((manifest) => manifest.digest).toSorted(),
      artifacts.map((artifact) => artifact.digest).toSorted(),
    )
  })
})

describe('tags', () => {
  async function startWithTags(): Promise<Scene> {
    const scene = await startScene()
    for (let tag = 0; tag < 25; tag += 1) {
      scene.upstream.content.addImage('app', image, `v${String(tag).padStart(2, '0')}`)
    }
    return scene
  }

  /** Follows `Link` from page to page. */
  async function listAll(scene: Scene, first: string): Promise<string[]> {
    const tags: string[] = []
    let path: string | undefined = first
    while (path !== undefined) {
      const reply = await scene.registry.request('GET', path)
      assert.equal(reply.status, 200)
      tags.push(...(reply.json() as { tags: string[] }).tags)
      const { link } = reply.headers
      path = typeof link === 'string' ? /^<([^>]+)>/.exec(link)?.[1] : undefined
    }
    return tags
  }

  test("come in pages, whose links lead through this registry to the upstream's end", async () => {
    await using scene = await startWithTags()
    const all = Array.from({ length: 25 }, (_, tag) => `v${String(tag).padStart(2, '0')}`)
    const list = `${pathOf(scene, 'app')}/tags/list`
    assert.deepEqual(await listAll(scene, list), all)
    assert.deepEqual(await listAll(scene, `${list}?n=10`), all)
    assert.deepEqual(await listAll(scene, `${list}?n=5`), all)
    scene.upstream.content.pageEntriesMax = 4
    assert.deepEqual(await listAll(scene, `${list}?n=10`), all)
    assert.deepEqual(await listAll(scene, `/v2/app/tags/list?n=10&ns=${scene.host}`), all)
  })

  test('of what the upstream does not have are 404', async () => {
    await using scene = await startScene()
    const reply = await scene.registry.request('GET', `${pathOf(scene, 'nothing')}/tags/list`)
    assertError(reply, 404, 'NAME_UNKNOWN')
  })

  test('of an upstream that fails, with nothing cached, are 502', async () => {
    await using scene = await startScene()
    scene.upstream.use(failing(500))
    const reply = await scene.registry.request('GET', `${pathOf(scene, 'app')}/tags/list`)
    assertError(reply, 502, 'UNAVAILABLE')
  })
})
