import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDigest } from '../../../src/oci/digest.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { IdentityToken, PasswordCredentials } from '../../../src/upstream/credentials.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { secureRealm } from '../../../src/upstream/realm.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import { type Behaviour } from '../../support/fake-upstream.ts'
import {
  FakeTokenService,
  redirecting,
  requiringBasic,
  type TokenServiceOptions,
  withHeaders,
} from '../../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../../support/image-fixture.ts'
import { clientOf } from '../../support/upstream-client.ts'

const signal = new AbortController().signal
const repository = parseRepositoryName('team/app')
const latest = parseReference('latest')
const image = imageFixture()
const layerDigest = parseDigest(image.blobs[1]!.digest)
const login = { username: 'myuser', password: 'my:pass' }
const credentials = new PasswordCredentials(login.username, login.password)

async function startUpstream(): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start()
  upstream.content.addImage(repository, image, 'latest')
  return upstream
}

/** A registry that holds its own token service. */
async function startTokenUpstream(
  options: TokenServiceOptions = {},
  scope?: string,
): Promise<FakeUpstream & { tokens: FakeTokenService }> {
  const upstream = await startUpstream()
  const tokens = new FakeTokenService(options)
  upstream.use(tokens.issue).use(tokens.require(`${upstream.origin}/token`, scope))
  return Object.assign(upstream, { tokens })
}

function isUnauthorized(error: unknown): boolean {
  return error instanceof UpstreamError && error.status === 401
}

function tokenRequests(upstream: FakeUpstream): number {
  return upstream.requests.filter(({ path }) => path === '/token').length
}

describe('Basic', () => {
  test('is answered once, and sent along from then on', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    await using client = clientOf(upstream, { credentials })
    await client.getManifest(repository, latest, signal)
    await client.getManifest(repository, latest, signal)
    assert.equal(upstream.requests.length, 3)
  })

  test('with a wrong password is tried once', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    const wrong = new PasswordCredentials('myuser', 'wrong')
    await using client = clientOf(upstream, { credentials: wrong })
    await assert.rejects(client.getManifest(repository, latest, signal), isUnauthorized)
    assert.equal(upstream.requests.length, 2)
  })

  test('without a user is a 401', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    await using client = clientOf(upstream)
    await assert.rejects(client.getManifest(repository, latest, signal), isUnauthorized)
    assert.equal(upstream.requests.length, 1)
  })

  test('that is asked for at /v2/ only is found there', async () => {
    await using upstream = await startUpstream()
    const silent: Behaviour = async (request, next) => {
      const answer = await next()
      const { 'www-authenticate': _challenge, ...headers } = answer.headers
      return request.path === '/v2/' ? answer : { ...answer, headers }
    }
    upstream.use(requiringBasic(login)).use(silent)
    await using client = clientOf(upstream, { credentials })
    await client.getManifest(repository, latest, signal)
  })
})

describe('a token', () => {
  for (const field of ['token', 'access_token'] as const) {
    test(`is fetched for the challenge, from "${field}"`, async () => {
      await using upstream = await startTokenUpstream({ login, field })
      await using client = clientOf(upstream, { credentials })
      await client.getManifest(repository, latest, signal)
      assert.equal(
        upstream.requests.find(({ path }) => path === '/token')?.query.get('scope'),
        'repository:team/app:pull',
      )
    })
  }

  test('is fetched by the anonymous too', async () => {
    await using upstream = await startTokenUpstream()
    await using client = clientOf(upstream)
    await client.getManifest(repository, latest, signal)
  })

  test('is fetched by POST with an identity token', async () => {
    await using upstream = await startTokenUpstream({ refreshToken: 'r' })
    await using client = clientOf(upstream, { credentials: new IdentityToken('r') })
    await client.getManifest(repository, latest, signal)
  })

  test('is fetched for the scope that is needed, whatever the challenge says', async () => {
    await using upstream = await startTokenUpstream({}, 'repository:user/image:pull')
    await using client = clientOf(upstream)
    await client.getManifest(repository, latest, signal)
    await Array.fromAsync(client.listRepositories(signal))
    const scopes = upstream.requests.flatMap(({ query }) => query.getAll('scope'))
    assert.deepEqual(scopes, ['repository:team/app:pull', 'registry:catalog:*'])
  })

  test('is fetched once for a repository, by many requests at once', async () => {
    await using upstream = await startTokenUpstream()
    await using client = clientOf(upstream)
    const all = Array.from({ length: 20 }, async () => {
      await client.getManifest(repository, latest, signal)
    })
    await Promise.all(all)
    await client.getManifest(repository, latest, signal)
    assert.equal(tokenRequests(upstream), 1)
  })

  test('that was revoked is replaced once', async () => {
    await using upstream = await startTokenUpstream()
    await using client = clientOf(upstream)
    await client.getManifest(repository, latest, signal)
    upstream.tokens.revokeAll()
    await client.getManifest(repository, latest, signal)
    assert.equal(tokenRequests(upstream), 2)
  })

  test('that the registry refuses again is a 401, not a loop', async () => {
    await using upstream = await startUpstream()
    const tokens = new FakeTokenService()
    const other = new FakeTokenService()
    upstream.use(tokens.issue).use(other.require(`${upstream.origin}/token`))
    await using client = clientOf(upstream)
    await assert.rejects(client.getManifest(repository, latest, signal), isUnauthorized)
    assert.ok(upstream.requests.length <= 4)
  })

  test('that the service refuses is a 401', async () => {
    await using upstream = await startTokenUpstream({ login })
    const wrong = new PasswordCredentials('myuser', 'wrong')
    await using client = clientOf(upstream, { credentials: wrong })
    await assert.rejects(client.getManifest(repository, latest, signal), isUnauthorized)
    assert.equal(tokenRequests(upstream), 1)
  })

  test('is preferred where Basic is offered too', async () => {
    await using upstream = await startTokenUpstream({ login })
    const both: Behaviour = async (_, next) => {
      const answer = await next()
      const challenge = answer.headers['www-authenticate']
      if (typeof challenge !== 'string') return answer
      const challenges = ['Basic realm="x"', challenge]
      return { ...answer, headers: { ...answer.headers, 'www-authenticate': challenges } }
    }
    upstream.use(both)
    await using client = clientOf(upstream, { credentials })
    await client.getManifest(repository, latest, signal)
    assert.equal(tokenRequests(upstream), 1)
  })
})

describe('credentials stay where they belong', () => {
  test('a token service over plain http on another host is not sent them', async () => {
    await using upstream = await startUpstream()
    await using service = await FakeUpstream.start()
    const tokens = new FakeTokenService()
    service.use(tokens.issue)
    // Another name of this machine makes it another host.
    const realm = `${service.origin.replace('127.0.0.1', 'localhost')}/token`
    upstream.use(new FakeTokenService().require(realm))
    await using client = clientOf(upstream, { credentials })
    await assert.rejects(
      client.getManifest(repository, latest, signal),
      /which was not given the credentials/,
    )
    for (const { headers } of service.requests) assert.equal(headers.authorization, undefined)
    assert.equal(service.requests.length, 1)
  })

  const realms: [realm: string, registry: string, trusted: boolean][] = [
    ['https://auth.example/token', 'https://r.example/', true],
    ['https://auth.example/token', 'http://r.example/', true],
    ['http://r.example/token', 'https://r.example/', false],
    ['http://r.example:81/token', 'http://r.example/', true],
    ['http://auth.example/token', 'http://r.example/', false],
    ['http://auth.example/token', 'https://r.example/', false],
  ]
  for (const [realm, registry, trusted] of realms) {
    test(`${registry} ${trusted ? 'may' : 'may not'} send to ${realm} with them`, () => {
      assert.equal(secureRealm(new URL(realm), new URL(registry)), trusted)
    })
  }

  test('no Authorization follows a redirect to another origin', async () => {
    await using upstream = await startTokenUpstream({ login })
    await using storage = await startUpstream()
    upstream.use(redirecting(storage.origin), { on: /blobs/ })
    await using client = clientOf(upstream, { credentials })
    await client.getManifest(repository, latest, signal)
    await client.readBlob(repository, layerDigest, { bytesMax: 1e6, signal })
    const [request] = storage.requests
    assert.equal(request?.headers.authorization, undefined)
  })

  test('a redirect’s target that asks for Basic is not given them', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    await using storage = await startUpstream()
    storage.use(requiringBasic(login))
    upstream.use(redirecting(storage.origin), { on: /blobs/ })
    await using client = clientOf(upstream, { credentials })
    const options = { bytesMax: 1e6, signal }
    await assert.rejects(client.readBlob(repository, layerDigest, options), isUnauthorized)
    for (const { headers } of storage.requests) assert.equal(headers.authorization, undefined)
  })

  test('a redirect’s target that asks for a token is given an anonymous one', async () => {
    await using upstream = await startUpstream()
    await using storage = await startTokenUpstream()
    upstream.use(redirecting(storage.origin), { on: /blobs/ })
    await using client = clientOf(upstream, { credentials })
    await client.readBlob(repository, layerDigest, { bytesMax: 1e6, signal })
    for (const { path, headers } of storage.requests) {
      if (path === '/token') assert.equal(headers.authorization, undefined)
    }
  })

  test('a token service that redirects elsewhere does not take them along', async () => {
    await using upstream = await startUpstream()
    await using elsewhere = await FakeUpstream.start()
    const tokens = new FakeTokenService()
    elsewhere.use(tokens.issue)
    upstream.use(redirecting(elsewhere.origin), { on: /token/ })
    upstream.use(tokens.require(`${upstream.origin}/token`))
    await using client = clientOf(upstream, { credentials })
    await client.getManifest(repository, latest, signal)
    assert.equal(elsewhere.requests[0]?.headers.authorization, undefined)
  })

  test('a challenge of no use is a 401', async () => {
    for (const realm of ['ftp://x/', '', 'token']) {
      await using upstream = await startUpstream()
      const challenge = `Bearer realm="${realm}"`
      upstream.use(async () => ({
        status: 401,
        headers: { 'www-authenticate': challenge },
        body: Buffer.alloc(0),
      }))
      await using client = clientOf(upstream, { credentials })
      await assert.rejects(client.getManifest(repository, latest, signal), isUnauthorized)
      assert.equal(upstream.requests.length, 1)
    }
  })

  test('no error and no request line holds the password', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic({ username: 'x', password: 'y' }))
    upstream.use(withHeaders({ 'x-any': 'thing' }))
    await using client = clientOf(upstream, { credentials })
    await assert.rejects(client.getManifest(repository, latest, signal), (error) => {
      assert.doesNotMatch(String(error) + JSON.stringify(error), /my:pass|bXl1c2Vy/)
      return true
    })
  })
})
