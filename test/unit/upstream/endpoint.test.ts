import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { Endpoint, isLoopbackHost } from '../../../src/upstream/endpoint.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import type { UpstreamRequest } from '../../../src/upstream/exchange.ts'
import { networkError } from '../../../src/upstream/network-error.ts'
import { issueCertificate } from '../../support/certificate.ts'
import { fakeResponse, FakeSend } from '../../support/fake-send.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import { redirecting } from '../../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../../support/image-fixture.ts'
import { clientOf, type TestClientOptions } from '../../support/upstream-client.ts'

const signal = new AbortController().signal
const repository = parseRepositoryName('app')
const image = imageFixture()

async function pull(upstream: FakeUpstream, options: TestClientOptions): Promise<void> {
  upstream.content.addImage(repository, image, 'latest')
  await using client = clientOf(upstream, options)
  await client.getManifest(repository, parseReference('latest'), signal)
}

function isProblem(problem: UpstreamError['problem']): (error: unknown) => boolean {
  return (error) => error instanceof UpstreamError && error.problem === problem
}

describe('over plain http', () => {
  test('nothing is sent unless it is asked for', async () => {
    await using upstream = await FakeUpstream.start()
    await assert.rejects(pull(upstream, { schemes: ['https'] }), isProblem('protocol'))
    assert.deepEqual(upstream.log, [])
  })

  test('a registry is found where https is tried first', async () => {
    await using upstream = await FakeUpstream.start()
    await pull(upstream, { schemes: ['https', 'http'] })
    assert.deepEqual(upstream.log, ['GET /v2/', 'GET /v2/app/manifests/latest'])
  })

  test('a registry is looked for once by many requests', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage(repository, image, 'latest')
    await using client = clientOf(upstream, { schemes: ['https', 'http'] })
    const all = Array.from({ length: 5 }, async () => {
      await client.getManifest(repository, parseReference('latest'), signal)
    })
    await Promise.all(all)
    assert.equal(upstream.log.filter((line) => line === 'GET /v2/').length, 1)
  })

  test('who hangs up on every scheme is reported by the first one', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      await using client = clientOf(
        { host, origin: `http://${host}` },
        { schemes: ['http', 'https'] },
      )
      const answer = client.getManifest(repository, parseReference('latest'), signal)
      await assert.rejects(answer, isProblem('connection'))
    } finally {
      server.close()
    }
  })
})

describe('over https', () => {
  async function startTls() {
    const certificate = issueCertificate(['localhost', '127.0.0.1'])
    const upstream = await FakeUpstream.start({ tls: certificate })
    return Object.assign(upstream, { ca: certificate.ca })
  }

  test('an unknown authority is refused, named one accepted, any when told so', async () => {
    await using upstream = await startTls()
    await assert.rejects(pull(upstream, {}), isProblem('certificate'))
    await pull(upstream, { transport: { authorities: [upstream.ca] } })
    await pull(upstream, { transport: { verifyCertificates: false } })
  })

  test('an untrusted certificate does not lead to plain http', async () => {
    await using upstream = await startTls()
    await assert.rejects(pull(upstream, { schemes: ['https', 'http'] }), isProblem('certificate'))
  })

  test('a registry is found where plain http is tried first', async () => {
    await using upstream = await startTls()
    const transport = { authorities: [upstream.ca] }
    await pull(upstream, { schemes: ['http', 'https'], transport })
  })

  test('whoever has an untrusted certificate is not asked again over plain http', async () => {
    const untrusted = Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' })
    const { send, requests } = new FakeSend(networkError(new URL('https://r.example'), untrusted))
    const endpoint = new Endpoint(parseRegistryHost('r.example'), ['https', 'http'], send)
    await assert.rejects(endpoint.getOrigin(signal), isProblem('certificate'))
    assert.equal(requests.length, 1)
  })

  test('a registry that sends plain http to https is used over https', async () => {
    const moved = async (request: UpstreamRequest) => {
      const url = new URL(request.url)
      url.protocol = 'https:'
      return fakeResponse(url, { status: 401 })
    }
    const endpoint = new Endpoint(parseRegistryHost('r.example'), ['http', 'https'], moved)
    assert.equal((await endpoint.getOrigin(signal)).href, 'https://r.example/')
  })

  test('no redirect leads to plain http', async () => {
    await using upstream = await startTls()
    await using plain = await FakeUpstream.start()
    upstream.use(redirecting(plain.origin))
    const transport = { authorities: [upstream.ca] }
    await assert.rejects(pull(upstream, { transport }), isProblem('redirect'))
    assert.deepEqual(plain.log, [])
  })
})

describe('hosts of this machine', () => {
  const cases: [host: string, isLoopback: boolean][] = [
    ['localhost', true],
    ['localhost:8000', true],
    ['a.localhost:80', true],
    ['127.0.0.1', true],
    ['127.9.9.9:1', true],
    ['[::1]:8000', true],
    ['128.0.0.1', false],
    ['[::2]', false],
    ['localhost.example', false],
    ['127.0.0.1.example', false],
    ['docker.io', false],
  ]
  for (const [host, isLoopback] of cases) {
    test(`${host} ${isLoopback ? 'is' : 'is not'} one`, () => {
      assert.equal(isLoopbackHost(parseRegistryHost(host)), isLoopback)
    })
  }
})
