/** Web pages of other origins: which may use the registry, with what, and that no other may. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { assertError, pushTag } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const page = 'https://ui.example'
const asks = (origin: string) => ({
  origin,
  'access-control-request-method': 'GET',
  'access-control-request-headers': 'authorization',
})

describe('a configured origin', () => {
  let registry: Registry
  before(async () => {
    const flags = ['--cors', page, '--cors', 'http://localhost:3000']
    registry = await startRegistry({ flags, user: { name: 'ann', password: 'secret' } })
    await pushTag(registry, 'cors/any', 'v1')
  })
  after(() => registry[Symbol.asyncDispose]())

  test('is told before its request what it may send, without a login', async () => {
    const headers = asks(page)
    const reply = await registry.request('OPTIONS', '/v2/_catalog', { headers, anonymous: true })
    assert.equal(reply.status, 204)
    assert.equal(reply.header('access-control-allow-origin'), page)
    assert.equal(reply.header('access-control-allow-credentials'), 'true')
    assert.match(reply.header('access-control-allow-methods'), /\bPATCH\b/)
    assert.match(reply.header('access-control-allow-headers'), /\bAuthorization\b/)
    assert.match(reply.header('vary'), /\bOrigin\b/)
    assert.equal(reply.body.length, 0)
  })

  for (const [method, path, status] of [
    ['GET', '/v2/cors/any/manifests/v1', 200],
    ['GET', '/v2/cors/any/manifests/none', 404],
    ['POST', '/v2/cors/any/blobs/uploads/', 202],
  ] as const) {
    test(`may read the answer and its headers: ${method} ${path}`, async () => {
      const reply = await registry.request(method, path, { headers: { origin: page } })
      assert.equal(reply.status, status)
      assert.equal(reply.header('access-control-allow-origin'), page)
      const exposed = reply.header('access-control-expose-headers').split(', ')
      for (const name of ['Docker-Content-Digest', 'Link', 'Location', 'WWW-Authenticate']) {
        assert.ok(exposed.includes(name), name)
      }
    })
  }

  test('sees a refusal too, to ask for a login', async () => {
    const headers = { origin: page }
    const reply = await registry.request('GET', '/v2/', { headers, anonymous: true })
    assert.equal(reply.status, 401)
    assert.equal(reply.header('access-control-allow-origin'), page)
  })

  for (const origin of [
    'https://evil.example',
    'http://ui.example',
    'https://ui.example:8443',
    'null',
  ]) {
    test(`is the only kind that may: ${origin} may not`, async () => {
      const preflight = await registry.request('OPTIONS', '/v2/', { headers: asks(origin) })
      assert.equal(preflight.headers['access-control-allow-origin'], undefined)
      const reply = await registry.request('GET', '/v2/', { headers: { origin } })
      assert.equal(reply.status, 200)
      assert.equal(reply.headers['access-control-allow-origin'], undefined)
      assert.match(reply.header('vary'), /\bOrigin\b/)
    })
  }
})

test('any origin may read where * is configured, but not with credentials', async () => {
  await using registry = await startRegistry({ flags: ['--cors', '*'] })
  const reply = await registry.request('GET', '/v2/', { headers: { origin: page } })
  assert.equal(reply.header('access-control-allow-origin'), '*')
  assert.equal(reply.headers['access-control-allow-credentials'], undefined)
})

test('no origin may anything where none is configured', async () => {
  await using registry = await startRegistry()
  assertError(
    await registry.request('OPTIONS', '/v2/', { headers: asks(page) }),
    405,
    'UNSUPPORTED',
  )
  const reply = await registry.request('GET', '/v2/', { headers: { origin: page } })
  assert.equal(reply.headers['access-control-allow-origin'], undefined)
})
