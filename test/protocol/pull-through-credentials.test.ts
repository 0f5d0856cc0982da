/**
 * Logins at upstreams: who is shown which password, which token is used for what and how often one
 * is fetched, and that what one login can see is not shown under another repository's name.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { directoryWith } from '../support/directory-with.ts'
import {
  failing,
  FakeTokenService,
  redirecting,
  requiringBasic,
} from '../support/fake-upstream-behaviours.ts'
import { type FakeRequest, FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import {
  configure,
  messageOf,
  pathOf,
  proxyConfig,
  type Scene,
  startScene,
} from '../support/pull-through.ts'
import { assertError, makeBlob } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const image = imageFixture({ layers: 1, layerBytes: 10_000 })
const manifestDigest = image.root.digest
const login = { username: 'user', password: 'secret' }
const certificate = issueCertificate(['localhost', '127.0.0.1'])

interface TokenScene {
  readonly scene: Scene
  readonly tokens: FakeTokenService
  tokenRequests(): readonly FakeRequest[]
}

/** An upstream behind a token service on the same host. */
async function startWithTokens(
  options: ConstructorParameters<typeof FakeTokenService>[0] = {},
  challenge: { scope?: string; realm?: (upstream: FakeUpstream) => string } = {},
): Promise<TokenScene & AsyncDisposable> {
  const scene = await startScene({ entries: [login] })
  const { upstream } = scene
  upstream.content.addImage('app', image, 'v1')
  const tokens = new FakeTokenService(options)
  const realm = challenge.realm?.(upstream) ?? `${upstream.origin}/token`
  upstream.use(tokens.require(realm, challenge.scope)).use(tokens.issue)
  return {
    scene,
    tokens,
    tokenRequests: () => upstream.requests.filter(({ path }) => path === '/token'),
    [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose](),
  }
}

function basic({ username, password }: typeof login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function authorizations({ requests }: FakeUpstream): Set<string | undefined> {
  return new Set(requests.map(({ headers }) => headers.authorization))
}

describe('23. a token', () => {
  test('is fetched once for its scope, by many at the same time, and used for all of it', async () => {
    await using started = await startWithTokens({ login })
    const { scene } = started
    const digests = image.blobs.map(({ digest }) => digest)
    const pulls = [scene.manifest('v1'), scene.manifest(manifestDigest)]
    const replies = await Promise.all([...pulls, ...digests.map((digest) => scene.blob(digest))])
    assert.ok(replies.every(({ status }) => status === 200))
    assert.equal(started.tokenRequests().length, 1)
    assert.equal(started.tokenRequests()[0]?.headers.authorization, basic(login))
    await scene.manifest('v1')
    assert.equal(started.tokenRequests().length, 1)
  })

  test('that is refused is replaced once', async () => {
    await using started = await startWithTokens({ login })
    await started.scene.manifest('v1')
    started.tokens.revokeAll()
    const reply = await started.scene.manifest('v1')
    assert.equal(reply.header('x-cache'), 'HIT')
    assert.equal(started.tokenRequests().length, 2)
  })

  test('that is refused again is not fetched for ever', async () => {
    await using started = await startWithTokens({ login })
    started.scene.upstream.use(failing(401, 'UNAUTHORIZED'), { on: /manifests/ })
    assertError(await started.scene.manifest('v1'), 404, 'MANIFEST_UNKNOWN')
    assert.ok(started.tokenRequests().length <= 2)
  })
})

describe('24. a token', () => {
  const challenges: [name: string, scope: string][] = [
    ['a placeholder', 'repository:user/image:pull'],
    ['nothing', ''],
  ]
  for (const [name, scope] of challenges) {
    test(`is asked for by what is needed, if the challenge names ${name}`, async () => {
      await using started = await startWithTokens({ login }, { scope })
      assert.equal((await started.scene.manifest('v1')).status, 200)
      const scopes = started.tokenRequests().map(({ query }) => query.get('scope'))
      assert.equal(scopes.at(-1), 'repository:app:pull')
    })
  }

  test('may be called access_token', async () => {
    await using started = await startWithTokens({ login, field: 'access_token' })
    assert.equal((await started.scene.manifest('v1')).status, 200)
  })
})

describe('25. a blob that is somewhere else', () => {
  const layer = makeBlob('layer', 100_000)

  /** Two upstreams that have an entry each, the first one with a login. */
  async function startPair(): Promise<
    { front: FakeUpstream; back: FakeUpstream; registry: Registry } & AsyncDisposable
  > {
    const front = await FakeUpstream.start()
    const back = await FakeUpstream.start()
    const backHost = back.host.replace('127.0.0.1', 'localhost')
    const registries = [
      { host: front.host, insecure: true, ...login },
      { host: backHost, insecure: true },
    ]
    const registry = await startRegistry({ config: proxyConfig(registries) })
    front.content.addBlob('app', layer.bytes)
    back.content.addBlob('app', layer.bytes)
    front.use(redirecting(`http://${backHost}`), { on: /blobs/ }).use(requiringBasic(login))
    return {
      front,
      back,
      registry,
      [Symbol.asyncDispose]: async () => {
        for (const one of [registry, front, back]) await one[Symbol.asyncDispose]()
      },
    }
  }

  test('is fetched there without the login', async () => {
    await using pair = await startPair()
    const path = `${pathOf(pair.front, 'app')}/blobs/${layer.digest}`
    const reply = await pair.registry.request('GET', path)
    assert.ok(reply.body.equals(layer.bytes))
    assert.equal(reply.headers['location'], undefined)
    assert.deepEqual([...authorizations(pair.back)], [undefined])
  })

  test('is fetched with a token for everybody, if they want one there', async () => {
    await using pair = await startPair()
    const tokens = new FakeTokenService()
    const realm = `http://${pair.back.host.replace('127.0.0.1', 'localhost')}/token`
    pair.back.use(tokens.require(realm)).use(tokens.issue)
    const path = `${pathOf(pair.front, 'app')}/blobs/${layer.digest}`
    const reply = await pair.registry.request('GET', path)
    assert.equal(reply.status, 200, reply.body.toString().slice(0, 500))
    assert.ok(reply.body.equals(layer.bytes))
    assert.ok(![...authorizations(pair.back)].includes(basic(login)))
  })

  test('is found by a relative Location', async () => {
    await using scene = await startScene()
    scene.upstream.content.addBlob('elsewhere', layer.bytes)
    const location = `../../elsewhere/blobs/${layer.digest}`
    const redirect = { status: 302, headers: { location }, body: Buffer.alloc(0) }
    scene.upstream.use(() => redirect, { on: /app\/blobs/ })
    assert.ok((await scene.blob(layer.digest)).body.equals(layer.bytes))
  })
})

describe('26. a password', () => {
  test('is not sent to a token service of another site', async () => {
    await using thief = await FakeUpstream.start()
    const realm = (): string => `http://${thief.host.replace('127.0.0.1', 'localhost')}/token`
    await using started = await startWithTokens({ login }, { realm })
    thief.use(new FakeTokenService().issue)
    const reply = await started.scene.manifest('v1')
    assert.notEqual(reply.status, 200)
    assert.deepEqual([...authorizations(thief)].filter(Boolean), [])
    assert.ok(thief.requests.every(({ body }) => !body.includes(login.password)))
  })

  test('is sent to one that auth_hosts names, over https', async (t) => {
    const directory = await directoryWith(t, { 'ca.crt': certificate.ca })
    const tls = { key: certificate.key, cert: certificate.cert }
    await using upstream = await FakeUpstream.start({ tls })
    await using service = await FakeUpstream.start({ tls })
    upstream.content.addImage('app', image, 'v1')
    const host = service.host.replace('127.0.0.1', 'localhost')
    const tokens = new FakeTokenService({ login })
    service.use(tokens.issue)
    upstream.use(tokens.require(`https://${host}/token`))
    const entry = { host: upstream.host, ca_file: join(directory, 'ca.crt'), ...login }
    const beside = { host, ca_file: join(directory, 'ca.crt') }
    await using registry = await startRegistry({ config: proxyConfig([entry, beside]) })
    const path = `${pathOf(upstream, 'app')}/manifests/v1`
    // Being listed is not enough.
    const refused = await registry.request('GET', path)
    assertError(refused, 404, 'MANIFEST_UNKNOWN')
    assert.match(messageOf(refused).message, new RegExp(`name ${host} in auth_hosts`))
    assert.deepEqual([...authorizations(service)].filter(Boolean), [])
    for (const authHosts of [[host], ['localhost']]) {
      await configure(registry, proxyConfig([{ ...entry, auth_hosts: authHosts }]))
      assert.equal((await registry.request('GET', path)).status, 200)
      assert.equal(service.requests.at(-1)?.headers.authorization, basic(login))
    }
    // In clear it is not sent there either.
    upstream.use(tokens.require(`http://${host}/token`))
    await configure(registry, proxyConfig([{ ...entry, auth_hosts: [host] }]))
    const asked = service.connections
    const other = `${pathOf(upstream, 'app')}/blobs/${manifestDigest}`
    assertError(await registry.request('GET', other), 403, 'DENIED')
    assert.equal(service.connections, asked)
  })

  test('is not sent there either where that site may be asked', async () => {
    await using thief = await FakeUpstream.start()
    const elsewhere = thief.host.replace('127.0.0.1', 'localhost')
    await using scene = await startScene({ entries: [login, { host: elsewhere }] })
    const { upstream } = scene
    const tokens = new FakeTokenService()
    upstream.content.addImage('app', image, 'v1')
    upstream.use(tokens.require(`http://${elsewhere}/token`))
    thief.use(tokens.issue)
    assert.equal((await scene.manifest('v1')).status, 200)
    assert.deepEqual([...authorizations(thief)], [undefined])
    assert.ok(![...authorizations(upstream)].includes(basic(login)))
  })

  test('is in no log and in no answer', async () => {
    await using started = await startWithTokens({ login: { ...login, password: 'another' } })
    const { scene } = started
    const reply = await scene.manifest('v1')
    assert.equal(reply.status >= 400, true)
    for (const text of [reply.body.toString(), scene.registry.output()]) {
      assert.doesNotMatch(text, /secret|dXNlcjpzZWNyZXQ/)
    }
  })
})

describe('27. the entry of the longest path_prefix', () => {
  const logins = {
    all: { username: 'all', password: 'of-host' },
    team: { username: 'team', password: 'of-team' },
    deep: { username: 'deep', password: 'of-deep' },
  }

  test('is used on segment boundaries, and its login for nothing else', async () => {
    const { all, team, deep } = logins
    const entries = [{ ...team, path_prefix: 'team' }, all, { ...deep, path_prefix: 'team/deep/' }]
    await using scene = await startScene({ entries })
    const { upstream, registry } = scene
    upstream.use((request, next) => {
      if (request.headers.authorization !== undefined) return next()
      const headers = { 'www-authenticate': 'Basic realm="fake"' }
      return { status: 401, headers, body: Buffer.from('{}') }
    })
    const expected: [repository: string, login: typeof login][] = [
      ['team/app', team],
      ['team/deep/app', deep],
      ['team/deeper', team],
      ['teamwork/app', all],
      ['other', all],
    ]
    for (const [repository, { username, password }] of expected) {
      upstream.content.addImage(repository, image, 'v1')
      const from = upstream.requests.length
      const reply = await registry.request('GET', `${pathOf(upstream, repository)}/manifests/v1`)
      assert.equal(reply.status, 200, repository)
      const used = upstream.requests.slice(from).map(({ headers }) => headers.authorization)
      assert.deepEqual(
        [...new Set(used.filter((header) => header !== undefined))],
        [basic({ username, password })],
        repository,
      )
    }
  })

  test('is not lent to repositories beside it', async () => {
    await using scene = await startScene({ entries: [{ ...login, path_prefix: 'team' }] })
    scene.upstream.content.addImage('other', image, 'v1')
    scene.upstream.use(requiringBasic(login))
    const path = scene.path('manifests', 'v1', 'other')
    const reply = await scene.registry.request('GET', path)
    assertError(reply, 404, 'MANIFEST_UNKNOWN')
    assert.match(
      reply.body.toString(),
      /answered with status 401; either it does not have this, or Trow needs a login for it/,
    )
    assert.deepEqual([...authorizations(scene.upstream)], [undefined])
  })
})

describe('33. what only one login can see', () => {
  test('is not shown through another repository, whatever is cached', async () => {
    const a = { username: 'a', password: 'of-a' }
    const b = { username: 'b', password: 'of-b' }
    const entries = [
      { ...a, path_prefix: 'private/a' },
      { ...b, path_prefix: 'private/b' },
    ]
    await using scene = await startScene({ entries })
    const { upstream, registry } = scene
    upstream.content.addImage('private/a', image, 'v1')
    upstream.content.addImage('private/b', imageFixture({ seed: 9 }), 'v1')
    upstream.content.addImage('public', imageFixture({ seed: 10 }), 'v1')
    upstream.use(requiringBasic(a), { on: /private\/a/ })
    upstream.use(requiringBasic(b), { on: /private\/b/ })
    const [secret = makeBlob('none')] = image.blobs
    for (const [kind, digest] of [
      ['blobs', secret.digest],
      ['manifests', manifestDigest],
    ] as const) {
      const mine = await registry.request('GET', scene.path(kind, digest, 'private/a'))
      assert.equal(mine.status, 200)
      for (const repository of ['private/b', 'public', 'private', 'nothing']) {
        for (const method of ['GET', 'HEAD']) {
          const path = scene.path(kind, digest, repository)
          const reply = await registry.request(method, path)
          assert.equal(reply.status, 404, `${method} ${path}`)
        }
      }
      const local = await registry.request('GET', `/v2/private/a/${kind}/${digest}`)
      assert.equal(local.status, 404)
    }
  })
})

describe('a configuration that is loaded again', () => {
  test('changes the login at once, without a restart', async () => {
    await using scene = await startScene({ entries: [{ ...login, password: 'wrong' }] })
    const { upstream, registry } = scene
    upstream.content.addImage('app', image, 'v1')
    upstream.use(requiringBasic(login))
    assertError(await scene.manifest('v1'), 404, 'MANIFEST_UNKNOWN')
    await configure(registry, proxyConfig([{ host: upstream.host, insecure: true, ...login }]))
    assert.equal((await scene.manifest('v1')).status, 200)
  })

  test('does not end what is on its way', async () => {
    await using scene = await startScene({ entries: [login] })
    const { upstream, registry } = scene
    const { digest, bytes, gate } = scene.addHeldBlob('held', 500_000, 100_000)
    upstream.use(requiringBasic(login))
    using client = await scene.openBlob(digest)
    await client.readHead()
    await configure(registry, proxyConfig([{ host: upstream.host, insecure: true }]))
    gate.open()
    assert.ok((await client.readBytes(bytes.length)).equals(bytes))
    await until('the blob is kept', async () => {
      return (await scene.blob(digest)).header('x-cache') === 'HIT'
    })
  })
})
