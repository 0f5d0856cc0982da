/**
 * `default_upstream`: what is asked for without the name of a registry is this registry's own, and the
 * default upstream's only where nothing of that name is here; whoever pushes sees what is here.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { failing, rateLimiting } from '../support/fake-upstream-behaviours.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { messageOf, proxyConfig } from '../support/pull-through.ts'
import { assertError, makeBlob, makeManifest, startSession } from '../support/push-steps.ts'
import { type Registry, type RegistryOptions, startRegistry } from '../support/start-registry.ts'

const platforms = ['linux/amd64', 'linux/arm64']
const image = imageFixture({ layers: 2, layerBytes: 10_000, platforms })
const own = imageFixture({ layers: 1, layerBytes: 1000, seed: 7 })
const [config = makeBlob('none')] = own.blobs

interface Scene extends AsyncDisposable {
  /** Docker Hub, with `library/nginx:1.27`. */
  readonly hub: FakeUpstream
  readonly registry: Registry
}

async function startScene(options: RegistryOptions = {}, settings: object = {}): Promise<Scene> {
  await using resources = new AsyncDisposableStack()
  const hub = resources.use(await FakeUpstream.start())
  hub.content.addImage('library/nginx', image, '1.27')
  const registry = resources.use(
    await startRegistry({
      config: configOf(hub, { default_upstream: 'docker.io', ...settings }),
      ...options,
    }),
  )
  const opened = resources.move()
  return { hub, registry, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

function configOf(hub: FakeUpstream, settings: object): string {
  return proxyConfig([{ host: 'docker.io', insecure: true, endpoints: [hub.host] }], settings)
}

/** Requests that were about content. */
function asked({ hub }: Scene): string[] {
  return hub.log.filter((line) => !line.endsWith(' /v2/'))
}

/** Everything that could be pulled of `library/nginx`, with what it is without a default upstream. */
const pulls = [
  ['manifests/1.27', 404],
  [`manifests/${image.root.digest}`, 404],
  [`blobs/${image.blobs[0]?.digest}`, 404],
  ['tags/list', 404],
  [`referrers/${image.root.digest}`, 200],
] as const

describe('a repository that is not here, asked for without a registry', () => {
  test('is pulled as Docker does it with this as one of its registry-mirrors', async () => {
    await using scene = await startScene()
    const { registry } = scene
    const pull = async (): Promise<Set<unknown>> => {
      const path = (rest: string): string => `/v2/library/nginx/${rest}`
      assert.equal((await registry.request('GET', '/v2/')).status, 200)
      // Docker asks by HEAD first, and by GET if that has no answer.
      assert.equal((await registry.request('HEAD', path('manifests/1.27'))).status, 404)
      const caches = new Set<unknown>()
      const index = await registry.request('GET', path('manifests/1.27'))
      assert.equal(index.header('docker-content-digest'), image.root.digest)
      assert.equal(index.header('content-type'), image.root.mediaType)
      assert.equal(index.headers['oci-namespace'], undefined)
      caches.add(index.headers['x-cache'])
      for (const { digest, bytes } of image.manifests) {
        const manifest = await registry.request('GET', path(`manifests/${digest}`))
        assert.ok(manifest.body.equals(bytes))
      }
      for (const { digest, bytes } of image.blobs) {
        const blob = await registry.request('GET', path(`blobs/${digest}`))
        assert.ok(blob.body.equals(bytes))
        caches.add(blob.headers['x-cache'])
        await registry.logged((line) => line.msg === 'blob cached' && line['digest'] === digest)
      }
      return caches
    }
    assert.deepEqual(await pull(), new Set(['MISS']))
    const { length } = asked(scene)
    assert.equal(length, image.manifests.length + image.blobs.length)
    assert.deepEqual(await pull(), new Set(['HIT']))
    assert.deepEqual(asked(scene).slice(length), [
      'HEAD /v2/library/nginx/manifests/1.27?ns=docker.io',
    ])
  })

  test('is the same one as under all of its names', async () => {
    await using scene = await startScene({}, { tag_ttl: '1h' })
    const { registry } = scene
    for (const path of [
      '/v2/nginx/manifests/1.27',
      '/v2/library/nginx/manifests/1.27',
      '/v2/nginx/manifests/1.27?ns=docker.io',
      '/v2/f/docker.io/nginx/manifests/1.27',
    ]) {
      const reply = await registry.request('GET', path)
      assert.equal(reply.header('docker-content-digest'), image.root.digest, path)
    }
    assert.equal(asked(scene).length, 1)
    const catalog = await registry.request('GET', '/v2/_catalog')
    assert.deepEqual(catalog.json(), { repositories: ['f/docker.io/library/nginx'] })
  })

  test('has its tags and referrers listed', async () => {
    await using scene = await startScene()
    const { registry, hub } = scene
    const fields = { artifactType: 'application/vnd.sbom', layers: [], subject: image.root }
    const sbom = makeManifest({ config: { ...image.root, size: 2 }, ...fields })
    hub.content.addManifest('library/nginx', sbom).addImage('library/nginx', image, '1.28')
    const tags = await registry.request('GET', '/v2/nginx/tags/list?n=1')
    assert.deepEqual(tags.json(), { name: 'nginx', tags: ['1.27'] })
    const next = /^<([^>]+)>/.exec(tags.header('link'))?.[1] ?? ''
    assert.deepEqual((await registry.request('GET', next)).json(), {
      name: 'nginx',
      tags: ['1.28'],
    })
    const referrers = await registry.request('GET', `/v2/nginx/referrers/${image.root.digest}`)
    const { manifests } = referrers.json() as { manifests: { digest: string }[] }
    assert.deepEqual(
      manifests.map(({ digest }) => digest),
      [sbom.digest],
    )
  })

  test('that is not there either is 404, which names both', async () => {
    await using scene = await startScene()
    const { registry, hub } = scene
    for (const [path, code] of [
      ['manifests/1', 'MANIFEST_UNKNOWN'],
      [`manifests/${image.root.digest}`, 'MANIFEST_UNKNOWN'],
      [`blobs/${image.root.digest}`, 'BLOB_UNKNOWN'],
      ['tags/list', 'NAME_UNKNOWN'],
    ] as const) {
      const reply = await registry.request('GET', `/v2/nobody/nothing/${path}`)
      assertError(reply, 404, code)
      const { message, detail } = messageOf(reply)
      assert.match(message, /status 404.*this registry itself has nothing in nobody\/nothing/)
      assert.match(message, /default_upstream is docker\.io/)
      assert.deepEqual(detail, { upstream: hub.host, status: 404 })
    }
  })

  test('says so, too, when the upstream cannot be asked', async () => {
    await using scene = await startScene()
    const { registry, hub } = scene
    hub.use(rateLimiting('30'))
    const reply = await registry.request('GET', '/v2/nginx/manifests/1.27')
    assertError(reply, 429, 'TOOMANYREQUESTS')
    assert.match(messageOf(reply).message, /this registry itself has nothing in nginx/)
  })

  test('is not looked for without a default upstream, or under a name of this registry', async () => {
    await using scene = await startScene({ flags: ['--hostname', 'trow.example'] })
    const { registry, hub } = scene
    const expectLocal = async (query: string): Promise<void> => {
      for (const [path, status] of pulls) {
        const reply = await registry.request('GET', `/v2/library/nginx/${path}${query}`)
        assert.equal(reply.status, status, path)
        assert.equal(reply.headers['x-cache'], undefined)
        assert.doesNotMatch(reply.body.toString(), /docker\.io/)
      }
      assert.equal(hub.connections, 0)
    }
    await expectLocal('?ns=trow.example')
    const from = registry.logLength
    await writeFile(registry.configFile, configOf(hub, {}))
    registry.signal('SIGHUP')
    await registry.logged(({ msg }) => msg === 'configuration reloaded', from)
    await expectLocal('')
  })

  test('is for those only who may pull', async () => {
    await using scene = await startScene({ user: { name: 'ann', password: 'secret' } })
    const { registry, hub } = scene
    for (const [path] of pulls) {
      const reply = await registry.request('GET', `/v2/nginx/${path}`, { anonymous: true })
      assert.equal(reply.status, 401, path)
    }
    assert.equal(hub.connections, 0)
    assert.equal((await registry.request('GET', '/v2/nginx/manifests/1.27')).status, 200)
  })
})

describe('a repository that is here', () => {
  test('is always meant, also for what it does not have', async () => {
    await using scene = await startScene()
    const { registry, hub } = scene
    await registry.push('library/nginx', 'mine', own)
    const mine = await registry.request('GET', '/v2/library/nginx/manifests/mine')
    assert.equal(mine.header('docker-content-digest'), own.root.digest)
    assert.equal(mine.headers['x-cache'], undefined)
    const other = await registry.request('GET', '/v2/library/nginx/manifests/1.27')
    assertError(other, 404, 'MANIFEST_UNKNOWN')
    assert.doesNotMatch(messageOf(other).message, /docker\.io/)
    const layer = await registry.request('GET', `/v2/library/nginx/blobs/${image.blobs[0]?.digest}`)
    assertError(layer, 404, 'BLOB_UNKNOWN')
    const tags = await registry.request('GET', '/v2/library/nginx/tags/list')
    assert.deepEqual(tags.json(), { name: 'library/nginx', tags: ['mine'] })
    assert.equal(hub.connections, 0)
    const named = await registry.request('GET', '/v2/library/nginx/manifests/1.27?ns=docker.io')
    assert.equal(named.status, 200)
  })

  test('begins with its first blob, and ends with its last content', async () => {
    await using scene = await startScene()
    const { registry, hub } = scene
    const tag = '/v2/library/nginx/manifests/1.27'
    await startSession(registry, 'library/nginx')
    assert.equal((await registry.request('GET', tag)).header('x-cache'), 'MISS')
    await registry.pushBlob('library/nginx', config)
    const { length } = hub.requests
    assertError(await registry.request('GET', tag), 404, 'MANIFEST_UNKNOWN')
    assert.equal(hub.requests.length, length)
    const path = `/v2/library/nginx/blobs/${config.digest}`
    assert.equal((await registry.request('DELETE', path)).status, 202)
    assert.equal((await registry.request('GET', tag)).header('x-cache'), 'HIT')
  })
})

describe('who pushes', () => {
  const faults: [name: string, prepare: (hub: FakeUpstream) => unknown][] = [
    ['has the same image', (hub) => hub.content.addImage('library/foo', own, 'v1')],
    ['does not have it', () => undefined],
    ['fails', (hub) => hub.use(failing(500))],
    ['limits its users', (hub) => hub.use(rateLimiting('30'))],
  ]
  for (const [name, prepare] of faults) {
    test(`is told what is here, and not what the upstream has: one that ${name}`, async () => {
      await using scene = await startScene()
      const { registry, hub } = scene
      prepare(hub)
      const exists = async (path: string): Promise<number> =>
        (await registry.request('HEAD', `/v2/library/foo/${path}`)).status
      // crane, oras and regctl look for the manifest first, all of them for each blob.
      assert.equal(await exists('manifests/v1'), 404)
      assert.equal(await exists(`manifests/${own.root.digest}`), 404)
      for (const { digest } of own.blobs) assert.equal(await exists(`blobs/${digest}`), 404)
      await registry.push('library/foo', 'v1', own)
      assert.equal(await exists('manifests/v1'), 200)
      for (const { digest } of own.blobs) assert.equal(await exists(`blobs/${digest}`), 200)
      assert.equal(hub.connections, 0)
      const pulled = await registry.request('GET', '/v2/library/foo/manifests/v1')
      assert.equal(pulled.header('docker-content-digest'), own.root.digest)
      assert.equal(pulled.headers['x-cache'], undefined)
    })
  }

  test('is told of no blob because it was pulled through', async () => {
    await using scene = await startScene()
    const { registry } = scene
    const path = `/v2/library/nginx/blobs/${image.blobs[0]?.digest}`
    assert.equal((await registry.request('GET', path)).status, 200)
    assert.equal((await registry.request('HEAD', path)).status, 404)
    assert.equal((await registry.request('HEAD', `${path}?ns=docker.io`)).status, 200)
  })
})
