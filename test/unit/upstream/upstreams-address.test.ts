import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseReference } from '../../../src/oci/reference.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { guardedLookup, type Resolver } from '../../../src/upstream/address-guard.ts'
import { type Sender, Transport } from '../../../src/upstream/transport.ts'
import type { UpstreamSettings } from '../../../src/upstream/upstream-settings.ts'
import { issueCertificate } from '../../support/certificate.ts'
import { fakeRequest, FakeSend } from '../../support/fake-send.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import {
  FakeTokenService,
  redirecting,
  withHeaders,
} from '../../support/fake-upstream-behaviours.ts'
import {
  entryFor,
  entryOf,
  settingsOf,
  targetOf,
  upstreamsOf,
} from '../../support/fake-upstream-settings.ts'
import { imageFixture } from '../../support/image-fixture.ts'

const call = { signal: new AbortController().signal, via: [] }
const latest = parseReference('latest')
const image = imageFixture()
const certificate = issueCertificate(['registry.test', 'localhost', '127.0.0.1'])

async function startUpstream(tls = false): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start(tls ? { tls: certificate } : {})
  upstream.content.addImage('team/app', image, 'latest')
  return upstream
}

function port({ host }: FakeUpstream): string {
  return host.slice(host.indexOf(':') + 1)
}

function resolving(...answers: readonly (readonly string[])[]): Resolver {
  let question = 0
  return (_hostname, _options, callback) => {
    const addresses = answers[Math.min(question, answers.length - 1)] ?? []
    question += 1
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    process.nextTick(callback, null, found)
  }
}

function isAddressError(message = /not a public address/): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UpstreamError, String(error))
    assert.equal(error.problem, 'address', error.message)
    assert.match(error.message, message)
    return true
  }
}

async function pull(settings: UpstreamSettings, host: string, resolver?: Resolver) {
  await using driver = upstreamsOf(settings, resolver ? { resolver } : {})
  return await driver.upstreams.getManifest(targetOf({ host }, 'team/app'), latest, call)
}

describe('a host without an entry', () => {
  const addresses = [
    '127.0.0.1',
    '10.1.2.3',
    '172.20.1.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.100.100.200',
    '0.0.0.0',
    '::1',
    '::',
    'fd00:ec2::254',
    'fe80::1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::',
  ]
  for (const address of addresses) {
    test(`is not asked when its name means ${address}`, async () => {
      await using upstream = await startUpstream(true)
      const host = `registry.test:${port(upstream)}`
      await assert.rejects(pull(settingsOf([]), host, resolving([address])), isAddressError())
      assert.equal(upstream.connections, 0)
    })
  }

  const literals = ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '169.254.169.254', '[fd00::1]']
  for (const literal of [...literals, 'localhost']) {
    test(`is not asked at ${literal}`, async () => {
      await using upstream = await startUpstream(true)
      const host = `${literal}:${port(upstream)}`
      await assert.rejects(pull(settingsOf([]), host), isAddressError())
      assert.equal(upstream.connections, 0)
    })
  }

  test('is not asked when the settings allow no such hosts, or only others', async () => {
    for (const allowUnlisted of [false, ['other.test', '*.registry.test']]) {
      const settings = settingsOf([], { allowUnlisted })
      const asked = pull(settings, 'registry.test', () => assert.fail('it was resolved'))
      await assert.rejects(asked, isAddressError(/registry_proxies\.registries.*allow_unlisted/))
    }
  })

  test('is not asked where another port of it has an entry', async () => {
    await using upstream = await startUpstream(true)
    const settings = settingsOf([entryOf('127.0.0.1:1')])
    await assert.rejects(pull(settings, upstream.host), isAddressError())
    assert.equal(upstream.connections, 0)
  })
})

describe('the address that is connected to', () => {
  const only = (address: string) => address === '127.0.0.1'

  async function fetchThrough(resolver: Resolver, times = 1): Promise<number[]> {
    await using upstream = await startUpstream()
    // Each request then needs a connection of its own, and so an address.
    upstream.use(withHeaders({ connection: 'close' }))
    await using transport = new Transport({ lookup: guardedLookup(resolver, only) })
    const statuses: number[] = []
    for (let time = 0; time < times; time++) {
      const url = `http://registry.test:${port(upstream)}/v2/`
      const response = await transport.send(fakeRequest(url))
      for await (const _ of response.body);
      statuses.push(response.status)
    }
    return statuses
  }

  test('is one that was checked', async () => {
    assert.deepEqual(await fetchThrough(resolving(['127.0.0.1'])), [200])
    assert.deepEqual(await fetchThrough(resolving(['::1', '127.0.0.2', '127.0.0.1'])), [200])
  })

  test('is checked anew for each connection, so that a name cannot change its meaning', async () => {
    const rebinding = resolving(['127.0.0.1'], ['127.0.0.2'])
    await assert.rejects(fetchThrough(rebinding, 2), isAddressError(/127\.0\.0\.2/))
  })

  test('is none for a name without one', async () => {
    await assert.rejects(fetchThrough(resolving([])), isAddressError())
    const failing: Resolver = (_hostname, _options, callback) => {
      callback(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }), [])
    }
    await assert.rejects(fetchThrough(failing), { problem: 'unresolved' })
  })
})

describe('a listed host', () => {
  test('may be at any address', async () => {
    await using upstream = await startUpstream(true)
    const { ca } = certificate
    await pull(settingsOf([entryOf(upstream.host, { ca })]), upstream.host)
    await pull(settingsOf([entryOf(upstream.host, { skipVerify: true })]), upstream.host)
    const untrusted = pull(settingsOf([entryOf(upstream.host)]), upstream.host)
    await assert.rejects(untrusted, { problem: 'certificate' })
  })

  test('is shown the client certificate of its entry, and nobody else is', async () => {
    const client = issueCertificate(['trow'])
    await using upstream = await FakeUpstream.start({
      tls: certificate,
      clientAuthority: client.ca,
    })
    upstream.content.addImage('team/app', image, 'latest')
    const { ca } = certificate
    const clientCertificate = { cert: client.cert, key: { reveal: () => client.key } }
    const entry = entryOf(upstream.host, { ca, clientCertificate })
    await pull(settingsOf([entry]), upstream.host)
    await assert.rejects(pull(settingsOf([entryOf(upstream.host, { ca })]), upstream.host))
    const host = `localhost:${port(upstream)}`
    const away = entryOf(host, { ca, clientCertificate })
    await using front = await startUpstream()
    front.use(redirecting(`https://${host}`))
    const { length: before } = upstream.requests
    await assert.rejects(pull(settingsOf([entryFor(front), away]), front.host))
    assert.equal(upstream.requests.length, before)
  })

  test('may redirect to another port of itself', async () => {
    await using upstream = await startUpstream()
    await using storage = await startUpstream()
    upstream.use(redirecting(storage.origin))
    await pull(settingsOf([entryFor(upstream)]), upstream.host)
    assert.equal(storage.requests.length, 1)
  })

  const targets: [title: string, origin: (port: string) => string, message?: RegExp][] = [
    ['over plain http', (port) => `http://localhost:${port}`, /plain http/],
    ['with a private address', (port) => `https://[::ffff:127.0.0.1]:${port}`],
    ['whose address is spelt in another way', (port) => `https://0x7f.2:${port}`],
    ['whose name means a private address', (port) => `https://registry.test:${port}`],
  ]
  for (const [title, originOf, message] of targets) {
    test(`may not redirect to another host ${title}`, async () => {
      await using upstream = await startUpstream()
      await using storage = await startUpstream(!message)
      upstream.use(redirecting(originOf(port(storage))))
      const settings = settingsOf([entryFor(upstream)])
      const asked = pull(settings, upstream.host, resolving(['127.0.0.1']))
      await assert.rejects(asked, isAddressError(message))
      assert.equal(storage.connections, 0)
    })

    test(`may not have tokens fetched from another host ${title}`, async () => {
      await using upstream = await startUpstream()
      await using service = await startUpstream(!message)
      const user = { name: 'myuser', password: { reveal: () => 'pass' } }
      upstream.use(new FakeTokenService().require(`${originOf(port(service))}/token`))
      const settings = settingsOf([entryFor(upstream, { user })])
      const asked = pull(settings, upstream.host, resolving(['127.0.0.1']))
      await assert.rejects(asked, isAddressError(message))
      assert.equal(service.connections, 0)
    })
  }

  test('may redirect to another listed host, which is reached as its entry says', async () => {
    await using upstream = await startUpstream()
    await using storage = await startUpstream(true)
    const host = `localhost:${port(storage)}`
    upstream.use(redirecting(`https://${host}`))
    const { ca } = certificate
    await pull(settingsOf([entryFor(upstream), entryOf(host, { ca })]), upstream.host)
    const untrusted = pull(settingsOf([entryFor(upstream), entryOf(host)]), upstream.host)
    await assert.rejects(untrusted, { problem: 'certificate' })
  })

  test('may have tokens fetched where its entry says, with its credentials', async () => {
    await using upstream = await startUpstream()
    await using service = await FakeUpstream.start({ tls: certificate })
    const host = `localhost:${port(service)}`
    const tokens = new FakeTokenService({ login: { username: 'myuser', password: 'pass' } })
    service.use(tokens.issue)
    upstream.use(tokens.require(`https://${host}/token`))
    const user = { name: 'myuser', password: { reveal: () => 'pass' } }
    const { ca } = certificate
    await pull(settingsOf([entryFor(upstream, { user, ca, authHosts: [host] })]), upstream.host)
    const other = entryOf(host, { ca })
    const distrusted = pull(settingsOf([entryFor(upstream, { user }), other]), upstream.host)
    await assert.rejects(distrusted, { status: 401 })
    assert.equal(service.requests.at(-1)?.headers.authorization, undefined)
  })

  test('over https may not have tokens fetched in clear, even from itself', async () => {
    await using upstream = await startUpstream(true)
    await using service = await startUpstream()
    upstream.use(new FakeTokenService().require(`${service.origin}/token`))
    const settings = settingsOf([entryOf(upstream.host, { skipVerify: true })])
    await assert.rejects(pull(settings, upstream.host), isAddressError(/plain http/))
    assert.equal(service.connections, 0)
  })
})

test('a host without an entry may not redirect to a listed one inside', async () => {
  await using inside = await startUpstream()
  const location = `https://${inside.host}/v2/team/app/manifests/latest`
  const fake = new FakeSend({ status: 307, headers: { location } })
  const transport: Sender = { send: fake.send, async [Symbol.asyncDispose]() {} }
  await using driver = upstreamsOf(settingsOf([entryFor(inside)]), {
    transportFactory: () => transport,
  })
  const target = targetOf({ host: 'registry.test' }, 'team/app')
  await assert.rejects(driver.upstreams.getManifest(target, latest, call), isAddressError())
  assert.equal(fake.requests.length, 1)
})
