/**
 * Where requests may go: registries that nobody vouched for are asked at public addresses only, and
 * nothing is sent to any other one, however it is written or led to.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { redirecting } from '../support/fake-upstream-behaviours.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { messageOf, pathOf, proxyConfig, startScene } from '../support/pull-through.ts'
import { assertError, makeBlob } from '../support/push-steps.ts'
import { startRegistry } from '../support/start-registry.ts'

const image = imageFixture({ layers: 1, layerBytes: 1000 })

describe('29. a registry without an entry', () => {
  test('on an address that is not public is not connected to', async () => {
    await using inside = await FakeUpstream.start()
    inside.content.addImage('app', image, 'v1')
    const port = inside.host.split(':')[1] ?? ''
    await using registry = await startRegistry({ config: proxyConfig([]) })
    const hosts = [
      '127.0.0.1',
      'localhost',
      '127.1.2.3',
      '0.0.0.0',
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[64:ff9b::127.0.0.1]',
      '169.254.169.254',
      '[fd00:ec2::254]',
      '10.0.0.1',
      '172.16.0.1',
      '192.168.0.1',
      '100.100.100.200',
      '[fe80::1]',
      '[fc00::1]',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0177.0.0.1',
      '127.0.0.1.',
      'localhost.',
    ]
    for (const host of hosts) {
      for (const path of ['manifests/v1', `blobs/${image.root.digest}`, 'tags/list']) {
        const reply = await registry.request('GET', `/v2/app/${path}?ns=${host}:${port}`)
        assert.ok(
          [400, 403].includes(reply.status),
          `${host} ${path}: ${reply.status} ${reply.body.toString()}`,
        )
      }
    }
    assert.equal(inside.connections, 0)
  })

  test('is told apart from one with an entry by its port', async () => {
    await using inside = await FakeUpstream.start()
    await using scene = await startScene()
    scene.upstream.content.addImage('app', image, 'v1')
    assert.equal((await scene.manifest('v1')).status, 200)
    const path = `${pathOf(inside, 'app')}/manifests/v1`
    assertError(await scene.registry.request('GET', path), 403, 'DENIED')
    assert.equal(inside.connections, 0)
  })

  test('is not asked at all where allow_unlisted says so', async () => {
    const config = proxyConfig([], { allow_unlisted: ['*.example.com'] })
    await using registry = await startRegistry({ config })
    const reply = await registry.request('GET', '/v2/app/manifests/v1?ns=registry.example.org')
    assertError(reply, 403, 'DENIED')
    assert.match(messageOf(reply).message, /registry\.example\.org.*allow_unlisted/)
  })
})

describe('29. a redirect', () => {
  const { bytes, digest } = makeBlob('layer', 1000)

  test('to an address that is not public and has no entry is not followed', async () => {
    await using inside = await FakeUpstream.start()
    await using scene = await startScene()
    inside.content.addBlob('app', bytes)
    const elsewhere = `http://${inside.host.replace('127.0.0.1', 'localhost')}`
    for (const origin of [
      elsewhere,
      'http://169.254.169.254',
      'http://[::1]',
      'https://10.0.0.1',
    ]) {
      scene.upstream.use(redirecting(origin), { on: /blobs/ })
      const reply = await scene.blob(digest)
      assert.ok([403, 502].includes(reply.status), `${origin}: ${reply.status}`)
    }
    assert.equal(inside.connections, 0)
  })

  test('in a circle comes to an end', async () => {
    await using scene = await startScene()
    scene.upstream.use(redirecting(''), { on: /blobs/ })
    assertError(await scene.blob(digest), 502, 'UNAVAILABLE')
    assert.ok(scene.count(/blobs/) < 20)
  })

  test('to another scheme is not followed', async () => {
    await using scene = await startScene()
    for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'http://']) {
      const answer = { status: 302, headers: { location }, body: Buffer.alloc(0) }
      scene.upstream.use(() => answer, { on: /blobs/ })
      assertError(await scene.blob(digest), 502, 'UNAVAILABLE')
    }
  })
})
