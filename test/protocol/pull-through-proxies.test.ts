/**
 * Other registries behind an HTTP proxy that the environment names: what goes through it, what does
 * not, and what is told when it does not work.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { directoryWith } from '../support/directory-with.ts'
import { FakeProxy, type FakeProxyOptions } from '../support/fake-proxy.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { redirecting } from '../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { messageOf, proxyConfig } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'
import { runCommand } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const image = imageFixture({ layers: 1, layerBytes: 300_000 })
const certificate = issueCertificate(['registry.test', 'storage.test'])
const login = 'proxy-user:proxy-secret'
const manifestPath = '/v2/app/manifests/v1?ns=registry.test'

interface Scene extends AsyncDisposable {
  readonly proxy: FakeProxy
  /** `https://registry.test`, which only the proxy can find. */
  readonly upstream: FakeUpstream
  readonly registry: Registry
}

async function startScene(
  t: TestContext,
  options: {
    proxy?: FakeProxyOptions
    entries?: readonly object[]
    environment?: (proxy: FakeProxy) => Record<string, string>
  } = {},
): Promise<Scene> {
  const directory = await directoryWith(t, { 'ca.crt': certificate.ca })
  await using started = new AsyncDisposableStack()
  const tls = { key: certificate.key, cert: certificate.cert }
  const upstream = started.use(await FakeUpstream.start({ tls }))
  upstream.content.addImage('app', image, 'v1')
  const hosts = { 'registry.test:443': upstream.host, 'storage.test:443': upstream.host }
  const proxy = started.use(await FakeProxy.start({ hosts, ...options.proxy }))
  const environment = options.environment?.(proxy) ?? { HTTPS_PROXY: `http://${proxy.host}` }
  const registry = started.use(
    await startRegistry({
      config: proxyConfig(options.entries ?? []),
      environment: { NODE_EXTRA_CA_CERTS: join(directory, 'ca.crt'), ...environment },
    }),
  )
  const stack = started.move()
  return { proxy, upstream, registry, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe('a proxy of the environment', () => {
  test('is what registries are asked through, also after a redirect', async (t) => {
    await using scene = await startScene(t)
    const { registry, upstream, proxy } = scene
    upstream.use(redirecting('https://storage.test'), { on: /blobs/, times: 1 })
    const manifest = await registry.request('GET', manifestPath)
    assert.equal(manifest.status, 200, manifest.body.toString())
    for (const { digest, bytes } of image.blobs) {
      const blob = await registry.request('GET', `/v2/app/blobs/${digest}?ns=registry.test`)
      assert.ok(blob.body.equals(bytes))
    }
    assert.deepEqual([...new Set(proxy.log)].sort(), [
      'CONNECT registry.test:443',
      'CONNECT storage.test:443',
    ])
    assert.ok(registry.logs().some((line) => line['HTTPS_PROXY'] === proxy.host))
  })

  test('is given plain http as it is, for what is listed as such', async (t) => {
    await using plain = await FakeUpstream.start()
    plain.content.addImage('app', image, 'v1')
    await using scene = await startScene(t, {
      proxy: { hosts: { 'plain.test:5000': plain.host } },
      entries: [{ host: 'plain.test:5000', insecure: true }],
      environment: (proxy) => ({ http_proxy: proxy.host }),
    })
    const reply = await scene.registry.request('GET', '/v2/app/manifests/v1?ns=plain.test:5000')
    assert.equal(reply.status, 200, reply.body.toString())
    assert.deepEqual(scene.proxy.log, ['GET http://plain.test:5000/v2/app/manifests/v1'])
  })

  test('is passed by for hosts of NO_PROXY and for this machine', async (t) => {
    await using nearby = await FakeUpstream.start()
    nearby.content.addImage('app', image, 'v1')
    await using scene = await startScene(t, {
      entries: [{ host: nearby.host, insecure: true }],
      environment: ({ host }) => ({
        HTTPS_PROXY: host,
        HTTP_PROXY: host,
        NO_PROXY: 'registry.test',
      }),
    })
    const near = await scene.registry.request('GET', `/v2/app/manifests/v1?ns=${nearby.host}`)
    assert.equal(near.status, 200)
    // There is no such name here.
    assertError(await scene.registry.request('GET', manifestPath), 502, 'UNAVAILABLE')
    assert.deepEqual(scene.proxy.log, [])
  })

  test('is given its login, which nobody else sees', async (t) => {
    await using scene = await startScene(t, {
      proxy: { login },
      environment: ({ host }) => ({ HTTPS_PROXY: `http://${login}@${host}` }),
    })
    const reply = await scene.registry.request('GET', manifestPath)
    assert.equal(reply.status, 200, reply.body.toString())
    for (const { headers } of scene.upstream.requests) {
      assert.equal(headers['proxy-authorization'], undefined)
    }
    assert.doesNotMatch(scene.registry.output(), /proxy-secret/)
  })

  test('that refuses the login, or is gone, is named without the login', async (t) => {
    await using scene = await startScene(t, {
      proxy: { login },
      environment: ({ host }) => ({ HTTPS_PROXY: `http://proxy-user:wrong-secret@${host}` }),
    })
    const { registry, proxy } = scene
    const refused = await registry.request('GET', manifestPath)
    assertError(refused, 502, 'UNAVAILABLE')
    assert.match(
      messageOf(refused).message,
      /registry\.test \(through the proxy 127.*wants a login/,
    )
    const { host } = proxy
    await proxy[Symbol.asyncDispose]()
    const gone = await registry.request('GET', manifestPath)
    assertError(gone, 502, 'UNAVAILABLE')
    assert.match(messageOf(gone).message, new RegExp(`proxy ${host}.*refused the connection`))
    for (const text of [registry.output(), refused.body.toString(), gone.body.toString()]) {
      assert.doesNotMatch(text, /wrong-secret/)
    }
  })

  test('is not asked for addresses that no client may lead to', async (t) => {
    await using scene = await startScene(t)
    for (const host of ['169.254.169.254', '10.0.0.1', '[::1]', '[fd00::1]', 'localhost']) {
      const reply = await scene.registry.request('GET', `/v2/app/manifests/v1?ns=${host}`)
      assertError(reply, 403, 'DENIED')
    }
    assert.deepEqual(scene.proxy.log, [])
  })

  test('is what trow ls and trow inspect ask through', async (t) => {
    await using scene = await startScene(t)
    const directory = await directoryWith(t, { 'ca.crt': certificate.ca })
    const environment = { HTTPS_PROXY: `http://${scene.proxy.host}`, HOME: directory }
    for (const command of [
      ['ls', 'registry.test/app'],
      ['inspect', 'registry.test/app:v1'],
    ]) {
      const { stdout } = await runCommand([...command, '--ca', join(directory, 'ca.crt')], {
        environment,
      })
      assert.match(stdout, /v1/)
    }
    assert.ok(scene.proxy.log.length > 0)
  })
})
