/**
 * Who may do what: Basic on every request, the challenges that lead to a login, wrong passwords slowed
 * down, pulling without a login where that is allowed, and secrets that never get into the log.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { assertError, makeBlob, pushTag, startSession, withDigest } from '../support/push-steps.ts'
import { basicHeader, type Registry, startRegistry } from '../support/start-registry.ts'

const user = { name: 'ann', password: 'pässword: with "odd" characters, 日本 \u{1f433}' }
const digest = makeBlob('access').digest

/** Every endpoint of the API below `/v2/`. */
const endpoints: [method: string, path: string][] = [
  ['GET', '/v2/'],
  ['GET', '/v2/_catalog'],
  ['GET', '/v2/a/tags/list'],
  ['GET', '/v2/a/manifests/v1'],
  ['HEAD', '/v2/a/manifests/v1'],
  ['PUT', '/v2/a/manifests/v1'],
  ['DELETE', '/v2/a/manifests/v1'],
  ['GET', `/v2/a/blobs/${digest}`],
  ['HEAD', `/v2/a/blobs/${digest}`],
  ['DELETE', `/v2/a/blobs/${digest}`],
  ['POST', '/v2/a/blobs/uploads/'],
  ['GET', '/v2/a/blobs/uploads/1'],
  ['PATCH', '/v2/a/blobs/uploads/1'],
  ['PUT', '/v2/a/blobs/uploads/1'],
  ['DELETE', '/v2/a/blobs/uploads/1'],
  ['GET', `/v2/a/referrers/${digest}`],
]

/** The values of the header's lines, which a merged view does not tell apart. */
function challengesOf({ rawHeaders }: Reply): string[] {
  return rawHeaders.filter(
    (_, index) => rawHeaders[index - 1]?.toLowerCase() === 'www-authenticate',
  )
}

describe('with a user', () => {
  let registry: Registry
  before(async () => {
    registry = await startRegistry({ user })
    await pushTag(registry, 'a', 'v1')
  })
  after(() => registry[Symbol.asyncDispose]())

  for (const [method, path] of endpoints) {
    test(`nothing is done without a login: ${method} ${path}`, async () => {
      const reply = await registry.request(method, path, { anonymous: true })
      assert.equal(reply.status, 401)
      if (method !== 'HEAD') assertError(reply, 401, 'UNAUTHORIZED')
      const [bearer, basic, ...more] = challengesOf(reply)
      const realm = `${registry.url}/token`
      assert.ok(bearer?.startsWith(`Bearer realm="${realm}",service="trow_registry"`), bearer ?? '')
      assert.match(basic ?? '', /^Basic realm="[^"]+"$/)
      assert.deepEqual(more, [])
    })

    test(`it is done with the password: ${method} ${path}`, async () => {
      const { status } = await registry.request(method, path)
      assert.ok(status !== 401 && status !== 403, String(status))
    })
  }

  for (const path of ['/', '/healthz', '/readiness', '/metrics']) {
    test(`${path} is for everybody`, async () => {
      assert.equal((await registry.request('GET', path, { anonymous: true })).status, 200)
    })
  }

  const wrong: [name: string, authorization: string][] = [
    ['another password', basicHeader({ ...user, password: 'wrong' })],
    ['another name', basicHeader({ ...user, name: 'bob' })],
    ['the first half of the password', basicHeader({ ...user, password: 'pässword' })],
    ['no password', basicHeader({ ...user, password: '' })],
    ['neither name nor password', basicHeader({ name: '', password: '' })],
    ['what is no Base64', 'Basic !!!'],
    ['what has no colon', `Basic ${Buffer.from('ann').toString('base64')}`],
    ['another scheme', 'Digest username="ann"'],
    ['a token that is none', 'Bearer abc'],
    ['nothing', ''],
  ]
  for (const [name, authorization] of wrong) {
    test(`a login with ${name} is refused with the challenges`, async () => {
      const reply = await registry.request('GET', '/v2/', { headers: { authorization } })
      assertError(reply, 401, 'UNAUTHORIZED')
      assert.equal(challengesOf(reply).length, 2)
    })
  }

  test('the scheme is read in any case', async () => {
    const authorization = basicHeader(user).replace('Basic', 'bAsIc')
    assert.equal(
      (await registry.request('GET', '/v2/', { headers: { authorization } })).status,
      200,
    )
  })

  test('a refused push leaves nothing', async () => {
    const blob = makeBlob('refused')
    const path = `/v2/a/blobs/uploads/?digest=${blob.digest}`
    const refused = await registry.request('POST', path, { body: blob.bytes, anonymous: true })
    assert.equal(refused.status, 401)
    assert.equal((await registry.request('HEAD', `/v2/a/blobs/${blob.digest}`)).status, 404)
  })

  /** As the metrics have them. */
  async function refusedLogins(): Promise<(reason: string) => number> {
    const metrics = (await registry.request('GET', '/metrics')).body.toString()
    const counts = metrics.matchAll(/^trow_logins_refused_total\{reason="(\w+)"\} (\d+)$/gm)
    const byReason = new Map([...counts].map(([, reason, count]) => [reason, Number(count)]))
    return (reason) => byReason.get(reason) ?? Number.NaN
  }

  test('wrong passwords are slowed down per address, while a known login still works', async () => {
    const from = '127.0.0.9'
    const refusedBefore = await refusedLogins()
    const known = await registry.request('GET', '/v2/', { from })
    assert.equal(known.status, 200)
    const tryPassword = (password: string, address: string) =>
      registry.request('GET', '/v2/', {
        from: address,
        headers: { authorization: basicHeader({ ...user, password }) },
      })
    const statuses: number[] = []
    let last: Reply | undefined
    for (let guess = 0; guess < 14; guess += 1) {
      last = await tryPassword(`guess ${guess}`, from)
      statuses.push(last.status)
    }
    assert.deepEqual(statuses, [...Array(10).fill(401), ...Array(4).fill(429)] as number[])
    assert.ok(last)
    assertError(last, 429, 'TOOMANYREQUESTS')
    const seconds = Number(last.header('retry-after'))
    assert.ok(seconds >= 1 && seconds <= 60, String(seconds))
    assert.equal((await registry.request('GET', '/v2/', { from })).status, 200)
    assert.equal((await tryPassword('other', '127.0.0.10')).status, 401)
    const refused = await refusedLogins()
    assert.equal(refused('wrong') - refusedBefore('wrong'), 11)
    assert.equal(refused('throttled') - refusedBefore('throttled'), 4)
  })

  test('neither passwords nor logins are ever in the log', async () => {
    const headers = { authorization: 'Bearer this.is.no-token' }
    await registry.request('GET', '/v2/', { headers })
    await registry.request('GET', `/token?account=${encodeURIComponent(user.name)}`)
    const token = await registry.request('GET', '/token')
    const { token: bearer } = token.json() as { token: string }
    await registry.request('GET', '/v2/', { headers: { authorization: `Bearer ${bearer}` } })
    const form = new URLSearchParams({
      grant_type: 'password',
      username: 'ann',
      password: user.password,
    })
    await registry.request('POST', '/token', { body: form.toString(), anonymous: true })
    const id = (await registry.request('GET', '/nothing')).header('x-request-id')
    await registry.logged(({ request }) => request === id)
    const output = registry.output()
    const basic = basicHeader(user).slice('Basic '.length)
    const secrets = [user.password, 'pässword', basic, bearer, 'guess 3', 'this.is.no-token']
    for (const secret of secrets) {
      assert.ok(!output.includes(secret), `the log holds ${secret}`)
      assert.ok(!output.includes(Buffer.from(secret).toString('base64')))
      assert.ok(!output.includes(encodeURIComponent(secret)))
    }
    assert.ok(output.includes('"user":"ann"'))
  })

  test('the password is not in the data directory either', async () => {
    await registry.stop()
    for (const file of ['token.key', 'metadata.db', 'owner.json', 'format.json']) {
      const bytes = await readFile(join(registry.dataDirectory, file)).catch(() => Buffer.alloc(0))
      assert.ok(!bytes.includes(user.password))
    }
    await registry.restart()
  })
})

describe('with pulling allowed to anyone', () => {
  let registry: Registry
  const anonymous = true
  before(async () => {
    registry = await startRegistry({ user, anonymousPull: true })
    await pushTag(registry, 'a', 'v1')
    await registry.pushBlob('a', makeBlob('access'))
  })
  after(() => registry[Symbol.asyncDispose]())

  for (const [method, path] of endpoints.filter(([method]) => ['GET', 'HEAD'].includes(method))) {
    const isUpload = path.includes('/uploads/')
    test(`it is ${isUpload ? 'refused' : 'done'} without a login: ${method} ${path}`, async () => {
      const { status } = await registry.request(method, path, { anonymous })
      assert.equal(status, isUpload ? 401 : 200)
    })
  }

  for (const [method, path] of endpoints.filter(([method]) => !['GET', 'HEAD'].includes(method))) {
    test(`it takes a login, and says so: ${method} ${path}`, async () => {
      const reply = await registry.request(method, path, { anonymous })
      assertError(reply, 401, 'UNAUTHORIZED')
      const actions = method === 'DELETE' && !path.includes('uploads') ? 'delete' : 'pull,push'
      assert.match(challengesOf(reply)[0] ?? '', new RegExp(`,scope="repository:a:${actions}"`))
    })
  }

  test('the base answers 200, and offers a login to those who look', async () => {
    const reply = await registry.request('GET', '/v2/', { anonymous })
    assert.equal(reply.status, 200)
    assert.equal(challengesOf(reply).length, 2)
  })

  test('the base answers 401 to the Docker engine, which would push without a login otherwise', async () => {
    const headers = { 'user-agent': 'docker/28.0.0 go/go1.23 os/linux' }
    const reply = await registry.request('GET', '/v2/', { anonymous, headers })
    assertError(reply, 401, 'UNAUTHORIZED')
    assert.equal(challengesOf(reply).length, 1)
    assert.match(challengesOf(reply)[0] ?? '', /^Bearer /)
  })

  test('a wrong login is refused all the same', async () => {
    const headers = { authorization: basicHeader({ ...user, password: 'wrong' }) }
    const reply = await registry.request('GET', '/v2/a/manifests/v1', { headers })
    assertError(reply, 401, 'UNAUTHORIZED')
  })

  test('an empty login is none, as some clients send it', async () => {
    const headers = { authorization: basicHeader({ name: '', password: '' }) }
    const reply = await registry.request('GET', '/v2/a/manifests/v1', { headers })
    assert.equal(reply.status, 200)
  })

  test('a mount needs the login, whatever may be pulled', async () => {
    const path = `/v2/b/blobs/uploads/?mount=${digest}&from=a`
    assert.equal((await registry.request('POST', path, { anonymous })).status, 401)
    assert.equal((await registry.request('POST', path)).status, 201)
  })
})

describe('without a user', () => {
  test('everybody may do everything, and an old login does not hurt', async () => {
    await using registry = await startRegistry()
    for (const authorization of [basicHeader(user), 'Bearer abc', 'Nonsense']) {
      const reply = await registry.request('GET', '/v2/', { headers: { authorization } })
      assert.equal(reply.status, 200)
    }
    const blob = makeBlob('open')
    const location = await startSession(registry, 'open/all')
    const put = await registry.request('PUT', withDigest(location, blob.digest), {
      body: blob.bytes,
    })
    assert.equal(put.status, 201)
    assert.equal((await registry.request('DELETE', put.header('location'))).status, 202)
  })
})

test('a password from a file is put in force with the file, and the old one ends at once', async () => {
  await using registry = await startRegistry({
    config: 'auth:\n  user: ann\n  password: old\n  anonymous_pull: false\n',
  })
  const login = async (password: string) => {
    const headers = { authorization: basicHeader({ name: 'ann', password }) }
    return (await registry.request('GET', '/v2/', { headers })).status
  }
  assert.deepEqual([await login('old'), await login('new')], [200, 401])
  await writeFile(registry.configFile, 'auth:\n  user: ann\n  password: new\n')
  const known = registry.logLength
  registry.signal('SIGHUP')
  await registry.logged(({ msg }) => msg === 'configuration reloaded', known)
  assert.deepEqual([await login('old'), await login('new')], [401, 200])
})
