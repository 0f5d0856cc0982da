/**
 * How a repository of another registry is named: by path or by `ns`, under any of its names one and
 * the same; never mixed up with this registry's own, and never written to.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { pathOf, proxyConfig, type Scene, startScene } from '../support/pull-through.ts'
import { assertError, makeBlob } from '../support/push-steps.ts'
import { startRegistry } from '../support/start-registry.ts'

const image = imageFixture({ layers: 1, layerBytes: 10_000 })
const { digest } = image.root
const [layer = makeBlob('none')] = image.blobs

describe('1. Docker Hub', () => {
  const paths = [
    '/v2/nginx/manifests/1.27?ns=docker.io',
    '/v2/library/nginx/manifests/1.27?ns=docker.io',
    '/v2/nginx/manifests/1.27?ns=index.docker.io',
    '/v2/f/docker.io/nginx/manifests/1.27',
    '/v2/f/docker.io/library/nginx/manifests/1.27',
    '/v2/f/registry-1.docker.io/library/nginx/manifests/1.27',
    '/v2/f/index.docker.io/nginx/manifests/1.27',
    '/v2/f/Registry.Hub.Docker.com/nginx/manifests/1.27',
    '/v2/f/docker.io/library/nginx/manifests/1.27?ns=index.docker.io',
  ]

  test('is one upstream under all of its names, asked once for what all of them name', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage('library/nginx', image, '1.27')
    const entry = { host: 'registry-1.docker.io', insecure: true, endpoints: [upstream.host] }
    const config = proxyConfig([entry], { tag_ttl: '1h' })
    await using registry = await startRegistry({ config })
    const caches: string[] = []
    for (const path of paths) {
      const reply = await registry.request('GET', path)
      assert.equal(reply.header('docker-content-digest'), digest, path)
      caches.push(reply.header('x-cache'))
    }
    assert.deepEqual(caches, ['MISS', ...paths.slice(1).map(() => 'HIT')])
    const blobs = paths.map((path) => path.replace('manifests/1.27', `blobs/${layer.digest}`))
    for (const path of blobs) {
      assert.ok((await registry.request('GET', path)).body.equals(layer.bytes), path)
    }
    assert.deepEqual(
      upstream.log.filter((line) => !line.endsWith('/v2/')),
      [
        'GET /v2/library/nginx/manifests/1.27?ns=docker.io',
        `GET /v2/library/nginx/blobs/${layer.digest}?ns=docker.io`,
      ],
    )
  })
})

describe('a proxied name', () => {
  let scene: Scene
  before(async () => {
    scene = await startScene()
    scene.upstream.content.addImage('app', image, 'v1')
    scene.upstream.content.addImage('a/b/c/d/e/f', image, 'v1')
  })
  after(() => scene[Symbol.asyncDispose]())

  test('is one repository in every spelling of its host', async () => {
    const { registry, upstream } = scene
    const [address = '', port = ''] = upstream.host.split(':')
    const digestPath = `manifests/${digest}`
    const forms = [
      `/v2/f/${address}:${port}/app/${digestPath}`,
      `/v2/f/${address}_${port}_/app/${digestPath}`,
      `/v2/f/${address}_${port}/app/${digestPath}`,
      `/v2/app/${digestPath}?ns=${upstream.host}`,
      `/v2/app/${digestPath}?ns=${encodeURIComponent(upstream.host)}`,
      `/v2/f/${address}_${port}/app/${digestPath}?ns=${upstream.host}`,
    ]
    for (const form of forms) assert.equal((await registry.request('GET', form)).status, 200, form)
    assert.equal(scene.count(/\/app\/manifests/), 1)
  })

  test('may have as many parts as its upstream likes', async () => {
    const path = `${pathOf(scene.upstream, 'a/b/c/d/e/f')}/manifests/v1`
    assert.equal((await scene.registry.request('GET', path)).status, 200)
  })

  test('2. every answer to a request with ns has it in OCI-Namespace, as it was given', async () => {
    const { registry, upstream } = scene
    const namespace = upstream.host
    const paths = [
      ['manifests/v1', 200],
      [`manifests/${digest}`, 200],
      [`blobs/${layer.digest}`, 200],
      ['tags/list', 200],
      [`referrers/${digest}`, 200],
    ] as const
    for (const [path, status] of paths) {
      for (const method of ['GET', 'HEAD']) {
        const reply = await registry.request(method, `/v2/app/${path}?ns=${namespace}`)
        assert.equal(reply.status, status, path)
        assert.equal(reply.header('oci-namespace'), namespace, `${method} ${path}`)
      }
    }
    const withoutNamespace = await scene.manifest('v1')
    assert.equal(withoutNamespace.headers['oci-namespace'], undefined)
  })

  test('30. that is malformed is refused, and nobody is asked', async () => {
    const { registry, upstream } = scene
    const before = upstream.connections
    const namespaces = [
      '',
      'a/b',
      'user@h',
      'user:password@h',
      'h:99999',
      'h:0',
      'h:',
      'http://h',
      'h?x=y',
      'h%00',
      '::1',
      '[::1',
      '[fe80::1%25eth0]',
      '..',
      'a..b',
      'a b',
      '*',
      '-h-',
    ]
    for (const namespace of namespaces) {
      const query = new URLSearchParams({ ns: namespace })
      for (const path of ['manifests/v1', `blobs/${layer.digest}`, 'tags/list']) {
        const reply = await registry.request('GET', `/v2/app/${path}?${query.toString()}`)
        assert.equal(reply.status, 400, `ns=${namespace} ${path}: ${reply.body.toString()}`)
        assert.deepEqual(reply.codes(), ['NAME_INVALID'])
      }
    }
    const twice = `ns=${upstream.host}&ns=${upstream.host}`
    assertError(await registry.request('GET', `/v2/app/tags/list?${twice}`), 400, 'NAME_INVALID')
    assert.equal(upstream.connections, before)
  })

  test('30. in a path that names no repository or no host is refused', async () => {
    const { registry } = scene
    const { host } = scene.upstream
    for (const path of ['f', 'f/x', 'f/docker.io', `f/${host}`, 'f/-/app', 'f/a..b/app']) {
      const reply = await registry.request('GET', `/v2/${path}/manifests/v1`)
      assert.ok([400, 404].includes(reply.status), `${path}: ${reply.status}`)
    }
  })

  test('30. in a path that goes with the ns of another one is refused, or with an invalid one', async () => {
    const before = scene.upstream.connections
    for (const namespace of ['docker.io', '', 'h:0', 'a/b']) {
      const query = new URLSearchParams({ ns: namespace })
      const path = `${scene.path('manifests', 'v1')}?${query.toString()}`
      assertError(await scene.registry.request('GET', path), 400, 'NAME_INVALID')
    }
    assert.equal(scene.upstream.connections, before)
  })

  test('32. cannot be written to', async () => {
    const { registry, upstream } = scene
    const before = upstream.requests.length
    const proxied = `${pathOf(upstream, 'app')}/`
    const requests: [method: string, path: string][] = [
      ['POST', 'blobs/uploads/'],
      ['PUT', 'manifests/v1'],
      ['DELETE', 'manifests/v1'],
      ['DELETE', `manifests/${digest}`],
      ['DELETE', `blobs/${layer.digest}`],
    ]
    for (const [method, path] of requests) {
      const byPath = await registry.request(method, `${proxied}${path}`)
      assertError(byPath, 405, 'UNSUPPORTED')
      const byNamespace = await registry.request(method, `/v2/app/${path}?ns=${upstream.host}`)
      assertError(byNamespace, 405, 'UNSUPPORTED')
    }
    assert.equal(upstream.requests.length, before)
  })

  test('32. is no place to mount a blob from', async () => {
    const { registry, upstream } = scene
    await scene.blob(layer.digest)
    const from = pathOf(upstream, 'app').slice('/v2/'.length)
    for (const name of [from, `f/${upstream.host}/app`]) {
      const query = new URLSearchParams({ mount: layer.digest, from: name })
      const reply = await registry.request('POST', `/v2/local/blobs/uploads/?${query.toString()}`)
      assert.ok([202, 400, 405].includes(reply.status), `${name}: ${reply.status}`)
    }
  })

  test('32. is never answered by the local repository of that name, nor the reverse', async () => {
    const { registry, upstream } = scene
    const local = imageFixture({ seed: 7, layers: 1, layerBytes: 1000 })
    await registry.push('app', 'mine', local)
    await registry.push('own', 'v1', local)
    const foreign = await registry.request('GET', `/v2/app/manifests/mine?ns=${upstream.host}`)
    assertError(foreign, 404, 'MANIFEST_UNKNOWN')
    const own = await registry.request('GET', `/v2/own/manifests/v1?ns=${upstream.host}`)
    assertError(own, 404, 'MANIFEST_UNKNOWN')
    await scene.manifest('v1')
    assertError(await registry.request('GET', '/v2/app/manifests/v1'), 404, 'MANIFEST_UNKNOWN')
    const blob = await registry.request('GET', `/v2/app/blobs/${layer.digest}`)
    assertError(blob, 404, 'BLOB_UNKNOWN')
  })

  test('34. a blob pushed under a digest that is not its own does not shadow it', async () => {
    const { registry, upstream } = scene
    const blob = makeBlob('shadowed', 5000)
    upstream.content.addBlob('app', blob.bytes)
    const started = await registry.request('POST', '/v2/evil/blobs/uploads/')
    const location = new URL(started.header('location'), registry.url)
    location.searchParams.set('digest', blob.digest)
    const wrong = makeBlob('something else', 5000).bytes
    const done = await registry.request('PUT', location.href, { body: wrong })
    assertError(done, 400, 'DIGEST_INVALID')
    assert.ok((await scene.blob(blob.digest)).body.equals(blob.bytes))
  })
})

describe("31. this registry's own name in ns", () => {
  const image = imageFixture({ layers: 1, layerBytes: 1000 })

  test('means its own repositories, by any of its names, and no call to itself', async () => {
    const config = proxyConfig([])
    const flags = ['--hostname', 'registry.example']
    await using registry = await startRegistry({ config, flags })
    await registry.push('own/app', 'v1', image)
    const port = registry.host.split(':')[1] ?? ''
    const names = [registry.host, 'registry.example', 'registry.example:443', `LOCALHOST:${port}`]
    for (const name of names) {
      const headers = name.startsWith('LOCALHOST') ? { host: `localhost:${port}` } : {}
      const path = `/v2/own/app/manifests/v1?ns=${name}`
      const reply = await registry.request('GET', path, { headers })
      assert.equal(reply.status, 200, `${name}: ${reply.body.toString()}`)
      assert.equal(reply.headers['x-cache'], undefined)
    }
  })
})
