import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { type CredentialSource, PasswordCredentials } from '../../../src/upstream/credentials.ts'
import { type EcrApi, EcrCredentials } from '../../../src/upstream/ecr-credentials.ts'
import { Proxies } from '../../../src/upstream/proxies.ts'
import { issueCertificate } from '../../support/certificate.ts'
import { FakeEcr } from '../../support/fake-ecr.ts'
import { FakeProxy } from '../../support/fake-proxy.ts'
import { FakeTimer } from '../../support/fake-timer.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import { entryOf, settingsOf, targetOf, upstreamsOf } from '../../support/fake-upstream-settings.ts'
import { imageFixture } from '../../support/image-fixture.ts'

const host = parseRegistryHost('123456789012.dkr.ecr.eu-west-1.amazonaws.com')
const { signal } = new AbortController()
const hour = 3600 * 1000

/** Passwords `1`, `2` and so on, each good for twelve hours. */
class FakeApi {
  calls = 0
  failure: Error | undefined
  readonly timer = new FakeTimer()
  readonly credentials = new EcrCredentials(
    async (ecr, signal) => await this.fetch(ecr, signal),
    this.timer,
  )
  readonly source = this.credentials.sourceFor(host) as CredentialSource

  readonly fetch: EcrApi = async () => {
    this.calls += 1
    if (this.failure) throw this.failure
    const token = Buffer.from(`AWS:${this.calls}`).toString('base64')
    return { token, expiresAt: this.timer.now() + 12 * hour }
  }

  async get(refused?: PasswordCredentials): Promise<string> {
    return passwordOf(await this.source.getCredentials(signal, refused))
  }
}

function passwordOf(credentials: unknown): string {
  assert.ok(credentials instanceof PasswordCredentials)
  assert.equal(credentials.username, 'AWS')
  return Buffer.from(credentials.toBasic().slice(6), 'base64').toString().slice(4)
}

/** What was begun in the background has ended. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

function isLoginError(reason: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UpstreamError)
    assert.equal(error.problem, 'login')
    assert.match(error.message, reason)
    assert.match(error.message, new RegExp(`${host}.*AWS_\\* variables.*password_file`))
    return true
  }
}

describe('a password of ECR', () => {
  test('is fetched for private ECR registries only', () => {
    const { credentials } = new FakeApi()
    for (const other of ['public.ecr.aws', 'docker.io', `${host}:8443`, `x.${host}`]) {
      assert.equal(credentials.sourceFor(parseRegistryHost(other)), undefined, other)
    }
  })

  test('is fetched once by many, and kept', async () => {
    const api = new FakeApi()
    assert.deepEqual(await Promise.all([api.get(), api.get(), api.get()]), ['1', '1', '1'])
    api.timer.advance(10 * hour)
    assert.equal(await api.get(), '1')
    assert.equal(api.calls, 1)
  })

  test('is replaced before it expires, and nobody waits for that', async () => {
    const api = new FakeApi()
    await api.get()
    api.timer.advance(11 * hour)
    assert.deepEqual(await Promise.all([api.get(), api.get()]), ['1', '1'])
    await settled()
    assert.equal(await api.get(), '2')
    assert.equal(api.calls, 2)
  })

  test('is used to its end while there is no other one, and not longer', async () => {
    const api = new FakeApi()
    await api.get()
    api.timer.advance(11 * hour)
    api.failure = new Error('no route')
    for (let time = 0; time < 5; time++) {
      assert.equal(await api.get(), '1')
      await settled()
    }
    assert.equal(api.calls, 2)
    api.timer.advance(hour)
    await assert.rejects(api.get(), isLoginError(/no route/))
    api.failure = undefined
    api.timer.advance(10_000)
    assert.equal(await api.get(), '4')
  })

  test('is replaced when it is refused, but not one that is new', async () => {
    const api = new FakeApi()
    const first = await api.source.getCredentials(signal)
    assert.equal(passwordOf(await api.source.getCredentials(signal, first)), '1')
    api.timer.advance(60_000)
    const refused = [1, 2, 3].map(async () => await api.source.getCredentials(signal, first))
    assert.deepEqual((await Promise.all(refused)).map(passwordOf), ['2', '2', '2'])
    assert.equal(passwordOf(await api.source.getCredentials(signal, first)), '2')
    assert.equal(api.calls, 2)
  })

  test('that is refused is kept when there is no other one', async () => {
    const api = new FakeApi()
    const first = await api.source.getCredentials(signal)
    api.timer.advance(60_000)
    api.failure = new Error('no route')
    assert.equal(await api.source.getCredentials(signal, first), first)
    assert.equal(await api.get(), '1')
  })

  test('that cannot be had is not asked for again at once', async () => {
    const api = new FakeApi()
    api.failure = new Error('no credentials')
    for (let time = 0; time < 3; time++) {
      await assert.rejects(api.get(), isLoginError(/no credentials/))
    }
    assert.equal(api.calls, 1)
    api.failure = undefined
    api.timer.advance(10_000)
    assert.equal(await api.get(), '2')
  })

  test('that makes no sense is none', async () => {
    for (const token of ['', 'AWS', Buffer.from(':x').toString('base64')]) {
      const timer = new FakeTimer()
      const api = async () => ({ token, expiresAt: timer.now() + hour })
      const source = new EcrCredentials(api, timer).sourceFor(host)
      await assert.rejects(async () => await source?.getCredentials(signal), /usable token/)
    }
    const timer = new FakeTimer()
    const api = async () => ({ token: Buffer.from('AWS:x').toString('base64'), expiresAt: 0 })
    const source = new EcrCredentials(api, timer).sourceFor(host)
    await assert.rejects(async () => await source?.getCredentials(signal), /usable token/)
  })

  test('is not waited for by who has left', async () => {
    const never = Promise.withResolvers<never>()
    const source = new EcrCredentials(async () => await never.promise, new FakeTimer())
    const controller = new AbortController()
    const asked = source.sourceFor(host)?.getCredentials(controller.signal)
    controller.abort(new Error('gone'))
    await assert.rejects(async () => await asked, /gone/)
  })
})

describe('28. a registry of ECR', () => {
  const certificate = issueCertificate([host])
  const image = imageFixture()
  const latest = parseReference('latest')

  async function startScene() {
    await using started = new AsyncDisposableStack()
    const ecr = new FakeEcr()
    const tls = { key: certificate.key, cert: certificate.cert }
    const upstream = started.use(await FakeUpstream.start({ tls })).use(ecr.registry)
    upstream.content.addImage('app', image, 'latest')
    const proxy = started.use(await FakeProxy.start({ hosts: { [`${host}:443`]: upstream.host } }))
    const timer = new FakeTimer()
    const api: EcrApi = async () => ({
      token: Buffer.from(`AWS:${ecr.handOut()}`).toString('base64'),
      expiresAt: timer.now() + 12 * hour,
    })
    const { upstreams } = started.use(
      upstreamsOf(settingsOf([entryOf(host, { ca: certificate.ca })]), {
        timer,
        ecr: new EcrCredentials(api, timer),
        proxies: new Proxies({ HTTPS_PROXY: `http://${proxy.host}` }),
      }),
    )
    const stack = started.move()
    const target = targetOf({ host }, 'app')
    return {
      ecr,
      upstream,
      upstreams,
      timer,
      target,
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    }
  }

  test('that says that the password has expired is asked once more with a new one', async () => {
    await using scene = await startScene()
    const { ecr, upstream, upstreams, timer, target } = scene
    const call = { signal, via: [] }
    await upstreams.getManifest(target, latest, call)
    assert.equal(upstream.requests.length, 2)
    for (const method of ['headManifest', 'getManifest'] as const) {
      ecr.expireAll()
      timer.advance(60_000)
      const { length: before } = upstream.requests
      await upstreams[method](target, latest, call)
      assert.equal(upstream.requests.length - before, 2, method)
    }
    // Nobody knows yet how this client has to log in, and the password is an old one.
    upstreams.reload(settingsOf([entryOf(host, { ca: certificate.ca, maxConnections: 4 })]))
    ecr.expireAll()
    timer.advance(60_000)
    const { length: before } = upstream.requests
    await upstreams.getManifest(target, latest, call)
    assert.equal(upstream.requests.length - before, 3)
  })

  test('that takes no password at all is not asked for ever', async () => {
    await using scene = await startScene()
    const { ecr, upstream, upstreams, timer, target } = scene
    upstream.use((_, next) => {
      ecr.expireAll()
      return next()
    })
    const call = { signal, via: [] }
    await assert.rejects(upstreams.getManifest(target, latest, call), { status: 403 })
    assert.equal(upstream.requests.length, 2)
    timer.advance(60_000)
    await assert.rejects(upstreams.getManifest(target, latest, call), { status: 403 })
    assert.equal(upstream.requests.length, 4)
  })
})
