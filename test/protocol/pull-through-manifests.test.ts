/**
 * Manifests of upstreams as clients get them: byte for byte what the upstream has, with all that a
 * client needs to know of them, for as few requests as possible.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  answering,
  corrupting,
  failing,
  withHeaders,
  withoutHeader,
} from '../support/fake-upstream-behaviours.ts'
import { type Content, imageFixture, sha256Digest } from '../support/image-fixture.ts'
import { type Scene, startScene } from '../support/pull-through.ts'
import { assertError, makeManifest, ociIndex, sha512Digest } from '../support/push-steps.ts'

const image = imageFixture({
  layers: 2,
  layerBytes: 10_000,
  platforms: ['linux/amd64', 'linux/s390x'],
})
const { digest } = image.root

async function startWithImage(settings: object = {}): Promise<Scene> {
  const scene = await startScene({ settings })
  scene.upstream.content.addImage('app', image, 'v1')
  return scene
}

describe('a tag nobody asked for before', () => {
  test('3. costs one request for the manifest, and none for what it refers to', async () => {
    await using scene = await startWithImage()
    const head = await scene.manifest('v1', 'HEAD')
    assert.equal(head.status, 200)
    assert.equal(head.header('x-cache'), 'MISS')
    assert.deepEqual(
      scene.upstream.log.filter((line) => !line.endsWith(' /v2/')),
      ['GET /v2/app/manifests/v1'],
    )
  })

  test('4. HEAD says what GET says', async () => {
    await using scene = await startWithImage()
    for (const reference of ['v1', digest]) {
      const head = await scene.manifest(reference, 'HEAD')
      const get = await scene.manifest(reference)
      assert.equal(head.body.length, 0)
      for (const name of ['content-type', 'content-length', 'docker-content-digest', 'etag']) {
        assert.equal(head.header(name), get.header(name), name)
      }
      assert.equal(get.header('content-type'), image.root.mediaType)
      assert.equal(get.header('content-length'), String(image.root.size))
      assert.equal(get.header('docker-content-digest'), digest)
    }
  })

  for (const [name, behaviour, on] of [
    ['sends no digest', withoutHeader('docker-content-digest'), /manifests/],
    ['knows no HEAD', failing(405, 'UNSUPPORTED'), /HEAD .*manifests/],
  ] as const) {
    test(`4. is complete from an upstream that ${name}, cold and warm`, async () => {
      await using scene = await startWithImage()
      scene.upstream.use(behaviour, { on })
      for (const _ of ['cold', 'warm']) {
        const head = await scene.manifest('v1', 'HEAD')
        assert.equal(head.status, 200)
        assert.equal(head.header('docker-content-digest'), digest)
        assert.equal(head.header('content-length'), String(image.root.size))
        assert.equal(head.header('content-type'), image.root.mediaType)
        assert.equal(head.headers['warning'], undefined)
      }
    })
  }

  test("5. is listed after containerd's pull, and stays when the upstream is gone", async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1', 'HEAD')
    await scene.manifest(digest)
    await scene.upstream[Symbol.asyncDispose]()
    assert.deepEqual(await scene.tags(), ['v1'])
    const reply = await scene.manifest('v1')
    assert.equal(reply.status, 200)
    assert.equal(reply.header('x-cache'), 'STALE')
    assert.equal(reply.header('docker-content-digest'), digest)
  })

  test('17. with all it refers to is pulled once, and then by digest without any connection', async () => {
    await using scene = await startWithImage()
    const everything = [...image.manifests, ...image.blobs]
    const pull = async (): Promise<string[]> => {
      const caches: string[] = []
      for (const { digest: wanted, bytes } of everything) {
        const kind = image.blobs.some((blob) => blob.digest === wanted) ? 'blobs' : 'manifests'
        const reply = await scene.registry.request('GET', scene.path(kind, wanted))
        assert.ok(reply.body.equals(bytes))
        caches.push(reply.header('x-cache'))
      }
      return [...new Set(caches)]
    }
    assert.deepEqual(await pull(), ['MISS'])
    for (const blob of image.blobs) await scene.kept(blob.digest)
    const { length } = scene.upstream.requests
    await scene.upstream[Symbol.asyncDispose]()
    assert.deepEqual(await pull(), ['HIT'])
    await scene.registry.restart()
    assert.deepEqual(await pull(), ['HIT'])
    assert.equal(scene.upstream.requests.length, length)
  })
})

describe('35. bytes, media type and digest are those of the upstream', () => {
  let scene: Scene
  before(async () => {
    scene = await startScene()
  })
  after(() => scene[Symbol.asyncDispose]())

  const docker = imageFixture({ mediaTypes: 'docker', platforms: ['linux/amd64', 'linux/arm64'] })
  const nested = makeManifest({ manifests: [image.root] }, ociIndex)
  const custom = makeManifest({
    config: emptyConfig(),
    layers: [],
    'org.example': { a: [1, null] },
  })
  const spaced = withBytes(
    `\n{ "schemaVersion" : 2,\n "mediaType":"${ociIndex}","manifests":[] }\n\n`,
  )
  const untyped = withBytes(JSON.stringify({ schemaVersion: 2, manifests: [] }))
  const large = makeManifest({ manifests: [], annotations: { a: 'x'.repeat(4_194_000) } }, ociIndex)
  const cases: [name: string, manifest: Content][] = [
    ['an OCI index', rootOf(image.manifests)],
    ['an OCI manifest', image.manifests[0] ?? nested],
    ['a Docker list', rootOf(docker.manifests)],
    ['a Docker manifest', docker.manifests[0] ?? nested],
    ['a nested index', nested],
    ['custom fields', custom],
    ['other white space', spaced],
    ['no mediaType', untyped],
    ['4 MiB', large],
  ]
  for (const [index, [name, manifest]] of cases.entries()) {
    test(name, async () => {
      scene.upstream.content.addManifest('app', manifest, `case-${index}`)
      for (const reference of [`case-${index}`, manifest.digest]) {
        const reply = await scene.manifest(reference)
        assert.equal(reply.status, 200, reply.body.toString().slice(0, 300))
        assert.ok(reply.body.equals(manifest.bytes))
        assert.equal(reply.header('content-type'), manifest.mediaType)
        assert.equal(reply.header('docker-content-digest'), manifest.digest)
        assert.equal(reply.headers['content-encoding'], undefined)
      }
    })
  }

  test('by a sha512 digest', async () => {
    const manifest = { ...custom, digest: sha512Digest(custom.bytes) }
    scene.upstream.content.addManifest('strong', manifest)
    const path = scene.path('manifests', manifest.digest, 'strong')
    for (const cache of ['MISS', 'HIT']) {
      const reply = await scene.registry.request('GET', path)
      assert.equal(reply.header('docker-content-digest'), manifest.digest)
      assert.ok(reply.body.equals(custom.bytes))
      assert.equal(reply.header('x-cache'), cache)
    }
  })
})

describe('what is no manifest of this name', () => {
  const lies = [
    ['wrong bytes', corrupting()],
    [
      'another digest in its header',
      withHeaders({ 'docker-content-digest': `sha256:${'0'.repeat(64)}` }),
    ],
    ['a web page', answering(200, 'text/html', '<html>Please log in</html>')],
    ['a web page under a right media type', answering(200, ociIndex, '<html></html>')],
  ] as const
  for (const [name, behaviour] of lies) {
    test(`12. ${name}: nothing of it is shown or kept`, async () => {
      await using scene = await startWithImage()
      scene.upstream.use(behaviour, { on: /manifests/ })
      for (const reference of ['v1', digest]) {
        const reply = await scene.manifest(reference)
        if (name === 'wrong bytes' && reference === 'v1' && reply.status === 200) continue
        assert.ok([404, 502].includes(reply.status), `${reference}: ${reply.status}`)
        assert.doesNotMatch(reply.body.toString(), /<html>/)
      }
    })
  }

  test('a manifest of the old kind is said to be one that cannot be served', async () => {
    await using scene = await startScene()
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 1, name: 'app', fsLayers: [] }))
    const mediaType = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
    scene.upstream.content.addManifest(
      'app',
      { bytes, mediaType, digest: sha256Digest(bytes) },
      'v1',
    )
    assertError(await scene.manifest('v1'), 404, 'MANIFEST_UNKNOWN')
  })
})

function rootOf(manifests: readonly Content[]): Content {
  const root = manifests.at(-1)
  assert.ok(root !== undefined)
  return root
}

function withBytes(text: string): Content {
  const bytes = Buffer.from(text)
  return { bytes, digest: sha256Digest(bytes), mediaType: ociIndex }
}

function emptyConfig(): object {
  const bytes = Buffer.from('{}')
  const mediaType = 'application/vnd.oci.empty.v1+json'
  return { mediaType, digest: sha256Digest(bytes), size: bytes.length }
}
