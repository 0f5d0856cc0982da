/**
 * The Docker token flow (distribution, "Token Authentication Specification"): a challenge names realm,
 * service and scope, the token service gives a token for the login, and the token opens what its
 * scope says and nothing else.
 */
import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { assertError, makeBlob, pushTag } from '../support/push-steps.ts'
import { basicHeader, type Registry, startRegistry } from '../support/start-registry.ts'

const user = { name: 'ann', password: 'a:b:c' }
const blob = makeBlob('token')

let registry: Registry
before(async () => {
  registry = await startRegistry({ user })
  await pushTag(registry, 'token/a', 'v1')
  await pushTag(registry, 'token/b', 'v1')
  await registry.pushBlob('token/b', blob)
})
after(() => registry[Symbol.asyncDispose]())

interface Issued {
  readonly token: string
  readonly access_token: string
  readonly expires_in: number
  readonly issued_at: string
  readonly scope: string
  readonly refresh_token?: string
}

async function issue(query: string, path = '/token'): Promise<Issued> {
  const reply = await registry.request('GET', `${path}?${query}`)
  assert.equal(reply.status, 200, reply.body.toString())
  return reply.json() as Issued
}

function withToken(method: string, path: string, token: string): Promise<Reply> {
  return registry.request(method, path, { headers: { authorization: `Bearer ${token}` } })
}

function bearerChallenge(reply: Reply): Record<string, string> {
  const line = reply.rawHeaders.find((value) => value.startsWith('Bearer ')) ?? ''
  const pairs = line.slice('Bearer '.length).matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)
  return Object.fromEntries([...pairs].map(([, name = '', value = '']) => [name, value]))
}

describe('a client that follows the challenge', () => {
  const requests: [method: string, path: string, scope: string][] = [
    ['GET', '/v2/token/a/manifests/v1', 'repository:token/a:pull'],
    ['HEAD', '/v2/token/a/manifests/v1', 'repository:token/a:pull'],
    ['GET', '/v2/token/a/tags/list', 'repository:token/a:pull'],
    ['POST', '/v2/token/a/blobs/uploads/', 'repository:token/a:pull,push'],
    ['GET', '/v2/_catalog', 'registry:catalog:*'],
    ['DELETE', '/v2/token/a/manifests/other', 'repository:token/a:delete'],
  ]
  for (const [method, path, scope] of requests) {
    test(`gets a token for ${scope}, and with it what it asked for: ${method} ${path}`, async () => {
      const refused = await registry.request(method, path, { anonymous: true })
      assert.equal(refused.status, 401)
      const challenge = bearerChallenge(refused)
      assert.deepEqual(challenge, {
        realm: `${registry.url}/token`,
        service: 'trow_registry',
        scope,
      })
      const query = new URLSearchParams({ service: challenge['service'] ?? '', scope })
      const { token } = await issue(query.toString())
      const { status } = await withToken(method, path, token)
      assert.ok(![401, 403].includes(status), String(status))
    })
  }

  for (const path of ['/token', '/login']) {
    test(`is answered by ${path} in the form of both specifications`, async () => {
      const issued = await issue('service=trow_registry&scope=repository:token/a:pull', path)
      assert.equal(issued.token, issued.access_token)
      assert.equal(issued.expires_in, 3600)
      assert.ok(Math.abs(Date.parse(issued.issued_at) - Date.now()) < 60_000)
      assert.equal(issued.scope, 'repository:token/a:pull')
      const reply = await registry.request('GET', `${path}?account=ann`)
      assert.equal(reply.header('cache-control'), 'no-store')
    })
  }

  test('may ask for several scopes at once', async () => {
    const query = 'scope=repository:token/a:pull&scope=repository:token/b:pull,push'
    const { token, scope } = await issue(query)
    assert.equal(scope, 'repository:token/a:pull repository:token/b:pull,push')
    assert.equal((await withToken('GET', '/v2/token/a/manifests/v1', token)).status, 200)
    assert.equal((await withToken('GET', '/v2/token/b/manifests/v1', token)).status, 200)
  })

  test('may send the login in a form, and gets a refresh token if it asks for one', async () => {
    const form = {
      grant_type: 'password',
      username: user.name,
      password: user.password,
      scope: 'repository:token/a:pull',
      access_type: 'offline',
    }
    const post = (fields: Record<string, string>) =>
      registry.request('POST', '/token', {
        anonymous: true,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(fields).toString(),
      })
    const first = (await post(form)).json() as Issued
    assert.equal((await withToken('GET', '/v2/token/a/manifests/v1', first.token)).status, 200)
    const refresh = { grant_type: 'refresh_token', refresh_token: first.refresh_token ?? '' }
    const scope = 'repository:token/b:pull'
    const second = (await post({ ...refresh, scope })).json() as Issued
    assert.equal((await withToken('GET', '/v2/token/b/manifests/v1', second.token)).status, 200)
    assertError(await post({ ...form, password: 'wrong' }), 401, 'UNAUTHORIZED')
    // A refresh token opens nothing by itself, and an access token does not refresh.
    const path = '/v2/token/a/manifests/v1'
    assert.equal((await withToken('GET', path, first.refresh_token ?? '')).status, 401)
    assertError(await post({ ...refresh, refresh_token: first.token }), 401, 'UNAUTHORIZED')
  })

  test('gets no token without a login, or for another token', async () => {
    const query = '/token?scope=repository:token/a:pull'
    assertError(await registry.request('GET', query, { anonymous: true }), 401, 'UNAUTHORIZED')
    const { token } = await issue('scope=repository:token/a:pull')
    assertError(await withToken('GET', query, token), 401, 'UNAUTHORIZED')
  })
})

describe('a token', () => {
  test('opens the base of the API', async () => {
    const { token } = await issue('service=trow_registry')
    assert.equal((await withToken('GET', '/v2/', token)).status, 200)
  })

  const beyond: [method: string, path: string, needed: string][] = [
    ['GET', '/v2/token/b/manifests/v1', 'repository:token/b:pull'],
    ['GET', '/v2/token/a/below/manifests/v1', 'repository:token/a/below:pull'],
    ['POST', '/v2/token/a/blobs/uploads/', 'repository:token/a:pull,push'],
    ['PUT', '/v2/token/a/manifests/v2', 'repository:token/a:pull,push'],
    ['DELETE', '/v2/token/a/manifests/v1', 'repository:token/a:delete'],
    ['GET', '/v2/_catalog', 'registry:catalog:*'],
  ]
  for (const [method, path, needed] of beyond) {
    test(`does not open what its scope does not say, and tells which does: ${method} ${path}`, async () => {
      const { token } = await issue('scope=repository:token/a:pull')
      const reply = await withToken(method, path, token)
      assertError(reply, 401, 'UNAUTHORIZED')
      const { scope, error } = bearerChallenge(reply)
      assert.deepEqual([scope, error], [needed, 'insufficient_scope'])
    })
  }

  test('mounts from a repository only with the right to pull it, for which it says the scope', async () => {
    const path = `/v2/token/a/blobs/uploads/?mount=${blob.digest}&from=token/b`
    const target = 'repository:token/a:pull,push'
    const { token } = await issue(`scope=${target}`)
    const refused = await withToken('POST', path, token)
    assertError(refused, 401, 'UNAUTHORIZED')
    assert.equal(bearerChallenge(refused)['scope'], `${target} repository:token/b:pull`)
    const head = await registry.request('HEAD', `/v2/token/a/blobs/${blob.digest}`)
    assert.equal(head.status, 404)
    // Without `from` nobody says where: what the token may not read is not found.
    const anywhere = path.replace('&from=token/b', '')
    assert.equal((await withToken('POST', anywhere, token)).status, 202)
    const both = await issue(`scope=${target}&scope=repository:token/b:pull`)
    assert.equal((await withToken('POST', path, both.token)).status, 201)
  })

  for (const [name, change] of [
    ['of another signature', (token: string) => `${token.slice(0, -4)}AAAA`],
    ['with other claims', (token: string) => token.replace(/\.[^.]+\./, '.eyJzdWIiOiJhbm4ifQ.')],
    [
      'of no algorithm',
      (token: string) =>
        `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${token.split('.')[1]}.`,
    ],
    ['that is endless', () => 'x'.repeat(20_000)],
  ] as const) {
    test(`${name} is refused`, async () => {
      const { token } = await issue('scope=repository:token/a:pull')
      const reply = await withToken('GET', '/v2/token/a/manifests/v1', change(token))
      assertError(reply, 401, 'UNAUTHORIZED')
      assert.equal(bearerChallenge(reply)['error'], 'invalid_token')
    })
  }

  test('outlives a restart: the key lies in the data directory, for its owner only', async () => {
    const { token } = await issue('scope=repository:token/a:pull')
    await registry.restart()
    assert.equal((await withToken('GET', '/v2/token/a/manifests/v1', token)).status, 200)
    const { mode } = await stat(join(registry.dataDirectory, 'token.key'))
    assert.equal(mode & 0o777, 0o600)
  })

  test('is worth nothing after the password was changed, nor is its refresh token', async () => {
    const { token } = await issue('scope=repository:token/a:pull')
    await registry.restart({ user: { ...user, password: 'another' } })
    const reply = await withToken('GET', '/v2/token/a/manifests/v1', token)
    assertError(reply, 401, 'UNAUTHORIZED')
    const headers = { authorization: basicHeader(user) }
    assert.equal((await registry.request('GET', '/v2/', { headers })).status, 401)
    await registry.restart({ user })
    assert.equal((await withToken('GET', '/v2/token/a/manifests/v1', token)).status, 200)
  })
})

test('anybody gets a token to pull with, and no more, where that is allowed', async () => {
  await using open = await startRegistry({ user, anonymousPull: true })
  await pushTag(open, 'token/a', 'v1')
  const query = '/token?scope=repository:token/a:pull,push&service=trow_registry'
  const reply = await open.request('GET', query, { anonymous: true })
  const { token, scope } = reply.json() as Issued
  assert.equal(scope, 'repository:token/a:pull')
  const headers = { authorization: `Bearer ${token}` }
  assert.equal((await open.request('GET', '/v2/token/a/manifests/v1', { headers })).status, 200)
  const push = await open.request('POST', '/v2/token/a/blobs/uploads/', { headers })
  assertError(push, 401, 'UNAUTHORIZED')
})
