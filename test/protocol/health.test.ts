/**
 * Probes and metrics: alive, ready, not ready with the reason and ready again by itself, and numbers
 * that Prometheus can read.
 */
import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { assertError, makeBlob, pushTag, startSession } from '../support/push-steps.ts'
import {
  basicHeader,
  type Registry,
  type RegistryRequest,
  startRegistry,
} from '../support/start-registry.ts'
import { until } from '../support/until.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry({ user: { name: 'ann', password: 'secret' } })
})
after(() => registry[Symbol.asyncDispose]())

describe('/healthz', () => {
  test('says that the process answers', async () => {
    const reply = await registry.request('GET', '/healthz', { anonymous: true })
    assert.equal(reply.status, 200)
    assert.deepEqual(reply.json(), { is_healthy: true })
    assert.equal(reply.header('cache-control'), 'no-store')
  })
})

describe('/readiness', () => {
  const probe = () => registry.request('GET', '/readiness', { anonymous: true })

  test('says that the registry can do its work', async () => {
    const reply = await probe()
    assert.equal(reply.status, 200)
    assert.deepEqual(reply.json(), { is_ready: true })
    assert.equal(reply.header('cache-control'), 'no-store')
  })

  test('says why it cannot, while reads go on, and that it can again', async () => {
    const manifest = await pushTag(registry, 'health/any', 'v1')
    const uploads = join(registry.dataDirectory, 'uploads')
    await rename(uploads, `${uploads}.away`)
    const notReady = await until('it is not ready', async () => {
      const reply = await probe()
      return reply.status === 503 && reply
    })
    const { is_ready, message } = notReady.json() as { is_ready: boolean; message: string }
    assert.equal(is_ready, false)
    assert.match(message, /^storage: /)
    assert.equal((await registry.request('GET', '/healthz')).status, 200)
    const got = await registry.request('GET', '/v2/health/any/manifests/v1')
    assert.ok(got.body.equals(manifest.bytes))
    const blob = makeBlob('not stored')
    const path = `/v2/health/any/blobs/uploads/?digest=${blob.digest}`
    const refused = await registry.request('POST', path, { body: blob.bytes })
    assert.ok(refused.status >= 500, String(refused.status))
    assert.equal(
      (await registry.request('HEAD', `/v2/health/any/blobs/${blob.digest}`)).status,
      404,
    )

    await rename(`${uploads}.away`, uploads)
    await until('it is ready again', async () => (await probe()).status === 200)
    assert.equal((await registry.request('POST', path, { body: blob.bytes })).status, 201)
  })
})

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The Prometheus text format, version 0.0.4: every line is a comment or a sample. */
function parseMetrics(text: string): Sample[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => {
    const [, name, labels = '', value] =
      /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)$/i.exec(line) ?? []
    assert.ok(name !== undefined && value !== undefined, `no sample: ${line}`)
    const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)",?/gi)]
    assert.equal(pairs.map(([pair]) => pair).join(''), labels, line)
    const number = value === '+Inf' ? Infinity : Number(value)
    // Prometheus reads it in any case, and means "nothing was measured yet".
    assert.ok(!Number.isNaN(number) || value.toLowerCase() === 'nan', line)
    return {
      name,
      labels: Object.fromEntries(pairs.map(([, key = '', value = '']) => [key, value])),
      value: number,
    }
  })
}

async function scrape(): Promise<Sample[]> {
  const reply = await registry.request('GET', '/metrics', { anonymous: true })
  assert.equal(reply.status, 200)
  assert.match(reply.header('content-type'), /^text\/plain; version=0\.0\.4/)
  return parseMetrics(reply.body.toString())
}

function valueOf(samples: Sample[], name: string, labels: Record<string, string> = {}): number {
  const found = samples.filter(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )
  return found.reduce((sum, { value }) => sum + value, 0)
}

describe('/metrics', () => {
  test('counts requests by route, method and status, their time, and bytes both ways', async () => {
    const before = await scrape()
    const blob = makeBlob('measured', 10_000)
    await registry.pushBlob('health/metrics', blob)
    await registry.request('GET', `/v2/health/metrics/blobs/${blob.digest}`)
    await registry.request('GET', '/v2/health/metrics/manifests/none')
    await registry.request('GET', '/nothing')
    const after = await scrape()
    const grown = (name: string, labels: Record<string, string>) =>
      valueOf(after, name, labels) - valueOf(before, name, labels)
    const requests = 'trow_http_requests_total'
    assert.equal(grown(requests, { route: 'uploads', method: 'POST', status: '202' }), 1)
    assert.equal(grown(requests, { route: 'upload', method: 'PUT', status: '201' }), 1)
    assert.equal(grown(requests, { route: 'blob', method: 'GET', status: '200' }), 1)
    assert.equal(grown(requests, { route: 'manifest', method: 'GET', status: '404' }), 1)
    assert.equal(grown(requests, { route: 'none', method: 'GET', status: '404' }), 1)
    assert.equal(grown('trow_http_received_bytes_total', { route: 'upload' }), 10_000)
    assert.equal(grown('trow_http_sent_bytes_total', { route: 'blob' }), 10_000)
    assert.equal(grown('trow_http_request_duration_seconds_count', { route: 'blob' }), 1)
    assert.equal(valueOf(after, 'trow_http_requests_in_flight'), 1)
  })

  test('holds nothing that a client chose', async () => {
    for (const path of ['/secret-path', '/v2/secret-name/manifests/secret-tag']) {
      await registry.request('GET', path, { headers: { 'user-agent': 'secret-agent' } })
      await registry.request('SEARCH', path)
    }
    const reply = await registry.request('GET', '/metrics')
    assert.doesNotMatch(reply.body.toString(), /secret|SEARCH/)
  })

  test('tells what the registry holds, and of the process', async () => {
    const open = await startSession(registry, 'health/metrics')
    await registry.restart()
    const samples = await scrape()
    assert.equal(valueOf(samples, 'trow_content_uploads'), 1)
    assert.equal(valueOf(samples, 'trow_content_repositories'), 2)
    assert.equal(valueOf(samples, 'trow_content_manifests'), 1)
    assert.equal(valueOf(samples, 'trow_content_tags'), 1)
    assert.ok(valueOf(samples, 'trow_content_blobs') >= 3)
    assert.ok(valueOf(samples, 'trow_content_bytes') > 10_000)
    assert.equal(valueOf(samples, 'trow_build_info'), 1)
    assert.ok(valueOf(samples, 'process_resident_memory_bytes') > 10_000_000)
    assert.ok(valueOf(samples, 'process_open_fds') > 0)
    await registry.request('DELETE', open)
  })

  test('is read by GET and HEAD only', async () => {
    assertError(await registry.request('POST', '/metrics'), 405, 'UNSUPPORTED')
  })
})

describe('the access log', () => {
  test('tells of each request who did what, how it went, and how much was moved', async () => {
    const blob = makeBlob('logged', 5_000)
    const path = `/v2/health/log/blobs/uploads/?digest=${blob.digest}`
    const headers = { 'user-agent': 'tester/1.0' }
    const reply = await registry.request('POST', path, { body: blob.bytes, headers })
    const id = reply.header('x-request-id')
    const { ms, time, ...line } = await registry.logged(
      ({ request, route }) => request === id && route !== undefined,
    )
    assert.deepEqual(line, {
      level: 'info',
      request: id,
      method: 'POST',
      path,
      status: 201,
      route: 'uploads',
      received: 5_000,
      sent: 0,
      client: '127.0.0.1',
      user: 'ann',
      agent: 'tester/1.0',
      msg: `POST ${path} 201`,
    })
    assert.equal(typeof ms, 'number')
    assert.ok(!Number.isNaN(Date.parse(String(time))))
    const verb = registry.logs().find(({ request, msg }) => request === id && msg === 'blob pushed')
    assert.equal(verb?.['digest'], blob.digest)
  })

  const ann = basicHeader({ name: 'ann', password: 'wrong' })
  const refused: [name: string, request: RegistryRequest, code: string, reason: string][] = [
    ['no login', { anonymous: true }, 'UNAUTHORIZED', 'authentication required'],
    [
      'a wrong password',
      { headers: { authorization: ann } },
      'UNAUTHORIZED',
      'wrong user name or password',
    ],
    ['what is not there', {}, 'NAME_UNKNOWN', 'repository name not known to registry'],
  ]
  for (const [name, request, code, reason] of refused) {
    test(`says why a request was refused, where an answer to HEAD cannot: ${name}`, async () => {
      const reply = await registry.request('HEAD', '/v2/health/none/manifests/v1', request)
      const id = reply.header('x-request-id')
      const line = await registry.logged(({ request }) => request === id)
      assert.deepEqual([line['code'], line['reason']], [code, reason])
    })
  }

  test('leaves probes and scrapes out', async () => {
    await registry.request('GET', '/healthz')
    await registry.request('GET', '/readiness')
    await registry.request('GET', '/metrics')
    const id = (await registry.request('GET', '/v2/')).header('x-request-id')
    await registry.logged(({ request }) => request === id)
    const paths = registry.logs().map((line) => line['path'])
    for (const path of ['/healthz', '/readiness']) assert.ok(!paths.includes(path))
  })
})
