import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf, parseDigest } from '../../../src/oci/digest.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { UpstreamError, type UpstreamProblem } from '../../../src/oci/upstream-error.ts'
import type { UpstreamBlob } from '../../../src/registry/ports/upstream.ts'
import { type Sender, Transport, type TransportOptions } from '../../../src/upstream/transport.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import {
  answering,
  cutting,
  failing,
  Gate,
  holding,
  redirecting,
  requiringBasic,
  withHeaders,
  withoutHeader,
} from '../../support/fake-upstream-behaviours.ts'
import {
  entryFor,
  settingsOf,
  targetOf,
  type TestUpstreams,
  upstreamsOf,
} from '../../support/fake-upstream-settings.ts'
import { imageFixture, pseudoRandomBytes } from '../../support/image-fixture.ts'

const call = { signal: new AbortController().signal, via: [] }
const latest = parseReference('latest')
const image = imageFixture()
const bytes = pseudoRandomBytes('blob', 100_000)
const digest = digestOf(bytes)

async function startUpstream(): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start()
  upstream.content.addImage('team/app', image, 'latest').addBlob('team/app', bytes)
  return upstream
}

function driverOf(upstream: FakeUpstream): TestUpstreams {
  return upstreamsOf(settingsOf([entryFor(upstream)]))
}

function isProblem(problem: UpstreamProblem, message = /./): (error: unknown) => boolean {
  return (error) =>
    error instanceof UpstreamError && error.problem === problem && message.test(error.message)
}

async function contentOf(blob: UpstreamBlob): Promise<Buffer> {
  await using held = blob
  return Buffer.concat(await Array.fromAsync(held.chunks))
}

describe('a manifest', () => {
  test('comes with its size, by GET and by HEAD', async () => {
    await using upstream = await startUpstream()
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    const manifest = await driver.upstreams.getManifest(target, latest, call)
    const { mediaType } = image.root
    const size = image.manifests.at(-1)!.bytes.length
    assert.equal(manifest.size, size)
    assert.deepEqual(await driver.upstreams.headManifest(target, latest, call), {
      mediaType,
      digest: image.root.digest,
      size,
    })
  })

  test('comes along where HEAD was of no use', async () => {
    await using upstream = await startUpstream()
    upstream.use(withoutHeader('docker-content-digest'))
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    const { manifest } = await driver.upstreams.headManifest(target, latest, call)
    assert.equal(manifest?.size, image.manifests.at(-1)!.bytes.length)
  })
})

describe('a blob', () => {
  test('comes whole, and from an offset', async () => {
    await using upstream = await startUpstream()
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    for (const offset of [0, 1, 60_000, bytes.length - 1]) {
      const blob = await driver.upstreams.getBlob(target, digest, offset, call)
      assert.deepEqual([blob.offset, blob.size], [offset, bytes.length])
      assert.deepEqual(await contentOf(blob), bytes.subarray(offset))
      const { range } = upstream.requests.at(-1)!.headers
      assert.equal(range, offset === 0 ? undefined : `bytes=${offset}-`)
    }
  })

  test('begins anew at an upstream that ignores ranges', async () => {
    await using upstream = await startUpstream()
    upstream.use(() => ({ status: 200, headers: {}, body: bytes }))
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    const blob = await driver.upstreams.getBlob(target, digest, 10, call)
    assert.deepEqual([blob.offset, blob.size], [0, bytes.length])
    assert.deepEqual(await contentOf(blob), bytes)
  })

  const parts: [title: string, headers: Record<string, string>, accepted?: boolean][] = [
    ['the part that was asked for', { 'content-range': 'bytes 10-19/100' }, true],
    ['a part of what has no known size', { 'content-range': 'bytes 10-19/*' }, true],
    ['no Content-Range', {}],
    ['another beginning', { 'content-range': 'bytes 0-9/100' }],
    ['an end before its beginning', { 'content-range': 'bytes 10-9/100' }],
    ['an end outside', { 'content-range': 'bytes 10-19/19' }],
    ['another length', { 'content-range': 'bytes 10-20/100' }],
    ['another unit', { 'content-range': 'lines 10-19/100' }],
    ['two ranges', { 'content-range': 'bytes 10-19/100, bytes 30-39/100' }],
  ]
  for (const [title, headers, accepted = false] of parts) {
    test(`an answer of 206 with ${title} is ${accepted ? 'taken' : 'refused'}`, async () => {
      await using upstream = await startUpstream()
      upstream.use(() => ({ status: 206, headers, body: bytes.subarray(10, 20) }))
      await using driver = driverOf(upstream)
      const target = targetOf(upstream, 'team/app')
      const blob = driver.upstreams.getBlob(target, digest, 10, call)
      if (accepted) assert.deepEqual(await contentOf(await blob), bytes.subarray(10, 20))
      else await assert.rejects(blob, isProblem('content', /not the part that begins at byte 10/))
    })
  }

  test('a part that nobody asked for is refused', async () => {
    await using upstream = await startUpstream()
    upstream.use(() => ({ status: 206, headers: {}, body: bytes }))
    await using driver = driverOf(upstream)
    const blob = driver.upstreams.getBlob(targetOf(upstream, 'team/app'), digest, 0, call)
    await assert.rejects(blob, isProblem('status', /206/))
  })

  test('a web page, or encoded bytes, are refused, by GET and by HEAD', async () => {
    await using upstream = await startUpstream()
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    for (const behaviour of [
      answering(200, 'text/html; charset=utf-8', '<html>'),
      withHeaders({ 'content-encoding': 'gzip' }),
    ]) {
      upstream.use(behaviour, { times: 2 })
      const get = driver.upstreams.getBlob(target, digest, 0, call)
      await assert.rejects(get, isProblem('content', /web page|encoded/))
      const head = driver.upstreams.headBlob(target, digest, call)
      await assert.rejects(head, isProblem('content', /web page|encoded/))
    }
  })

  test('a resumed transfer goes to the registry first, not to where it redirected', async () => {
    await using upstream = await startUpstream()
    await using storage = await startUpstream()
    storage.use(cutting(100), { times: 1 })
    upstream.use(redirecting(storage.origin), { on: /blobs/ })
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    const first = await driver.upstreams.getBlob(target, digest, 0, call)
    await assert.rejects(contentOf(first), isProblem('connection'))
    const second = await driver.upstreams.getBlob(target, digest, 100, call)
    assert.deepEqual(await contentOf(second), bytes.subarray(100))
    assert.equal(upstream.requests.length, 2)
    assert.equal(storage.requests[1]?.headers.range, 'bytes=100-')
  })
})

describe('the size of a blob', () => {
  test('is told by HEAD', async () => {
    await using upstream = await startUpstream()
    await using driver = driverOf(upstream)
    const found = await driver.upstreams.headBlob(targetOf(upstream, 'team/app'), digest, call)
    assert.equal(found, bytes.length)
    assert.deepEqual(upstream.log, [`HEAD /v2/team/app/blobs/${digest}`])
  })

  for (const status of [404, 405]) {
    test(`is told by GET where HEAD says ${status}`, async () => {
      await using upstream = await startUpstream()
      upstream.use(failing(status), { on: /^HEAD/ })
      await using driver = driverOf(upstream)
      const found = await driver.upstreams.headBlob(targetOf(upstream, 'team/app'), digest, call)
      assert.equal(found, bytes.length)
    })
  }

  test('a 404 of GET is definite', async () => {
    await using upstream = await startUpstream()
    await using driver = driverOf(upstream)
    const absent = parseDigest(`sha256:${'0'.repeat(64)}`)
    const head = driver.upstreams.headBlob(targetOf(upstream, 'team/app'), absent, call)
    await assert.rejects(head, (error) => error instanceof UpstreamError && error.status === 404)
  })

  test('a 403 of HEAD is definite', async () => {
    await using upstream = await startUpstream()
    upstream.use(failing(403), { on: /^HEAD/ })
    await using driver = driverOf(upstream)
    const head = driver.upstreams.headBlob(targetOf(upstream, 'team/app'), digest, call)
    await assert.rejects(head, isProblem('status', /403/))
    assert.equal(upstream.requests.length, 1)
  })
})

describe('tags', () => {
  const tags = Array.from({ length: 10 }, (_, index) => `t${index}`)

  async function startTagged(): Promise<FakeUpstream> {
    const upstream = await startUpstream()
    for (const tag of tags) upstream.content.setTag('many', tag, image.root.digest)
    return upstream
  }

  test('come a page at a time', async () => {
    await using upstream = await startTagged()
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'many')
    const first = await driver.upstreams.listTags(target, { limit: 4 }, call)
    assert.deepEqual(first, { entries: tags.slice(0, 4), next: 't3' })
    const last = await driver.upstreams.listTags(target, { limit: 8, after: 't3' }, call)
    assert.deepEqual(last, { entries: tags.slice(4) })
    assert.deepEqual(
      upstream.log,
      ['/v2/many/tags/list?n=4', '/v2/many/tags/list?n=8&last=t3'].map((path) => `GET ${path}`),
    )
  })

  test('fill a page from the smaller ones of the upstream', async () => {
    await using upstream = await startTagged()
    upstream.content.pageEntriesMax = 3
    await using driver = driverOf(upstream)
    const page = await driver.upstreams.listTags(targetOf(upstream, 'many'), { limit: 7 }, call)
    assert.deepEqual(page, { entries: tags.slice(0, 7), next: 't6' })
  })

  test('go on where they should at an upstream without pages', async () => {
    await using upstream = await startTagged()
    const body = JSON.stringify({ name: 'many', tags })
    upstream.use(answering(200, 'application/json', body))
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'many')
    const page = await driver.upstreams.listTags(target, { limit: 3, after: 't5' }, call)
    assert.deepEqual(page, { entries: ['t6', 't7', 't8'], next: 't8' })
    const end = await driver.upstreams.listTags(target, { limit: 3, after: 't9' }, call)
    assert.deepEqual(end, { entries: [] })
  })

  test('none are asked for, none come', async () => {
    await using upstream = await startTagged()
    await using driver = driverOf(upstream)
    const page = await driver.upstreams.listTags(targetOf(upstream, 'many'), { limit: 0 }, call)
    assert.deepEqual(page, { entries: [] })
  })
})

test('while offline nothing is asked, and no connection made', async () => {
  await using upstream = await startUpstream()
  const settings = settingsOf([entryFor(upstream)], { offline: true })
  await using driver = upstreamsOf(settings)
  const target = targetOf(upstream, 'team/app')
  const { upstreams } = driver
  for (const question of [
    upstreams.getManifest(target, latest, call),
    upstreams.headManifest(target, latest, call),
    upstreams.getBlob(target, digest, 0, call),
    upstreams.headBlob(target, digest, call),
    upstreams.listTags(target, { limit: 1 }, call),
    upstreams.listReferrers(target, digest, call),
  ]) {
    await assert.rejects(question, isProblem('offline', /offline is set/))
  }
  assert.equal(upstream.connections, 0)
  upstreams.reload({ ...settings, offline: false })
  await upstreams.getManifest(target, latest, call)
})

describe('credentials', () => {
  const login = { username: 'myuser', password: 'my:pass' }
  const user = { name: login.username, password: { reveal: () => login.password } }

  test('are for what their entry is for', async () => {
    await using upstream = await startUpstream()
    upstream.content.addImage('teamwork/app', image, 'latest')
    upstream.use(requiringBasic(login))
    const entry = entryFor(upstream, { pathPrefix: 'team', user })
    await using driver = upstreamsOf(settingsOf([entry]))
    const { upstreams } = driver
    await upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
    const seen = upstream.requests.length
    const other = upstreams.getManifest(targetOf(upstream, 'teamwork/app'), latest, call)
    await assert.rejects(other, isProblem('status', /401/))
    for (const { headers } of upstream.requests.slice(seen)) {
      assert.equal(headers.authorization, undefined)
    }
  })

  test('that change count for the next request; what is under way goes on', async () => {
    await using upstream = await startUpstream()
    const gate = new Gate()
    upstream.use(requiringBasic(login))
    await using driver = upstreamsOf(settingsOf([entryFor(upstream, { user })]))
    const { upstreams } = driver
    const target = targetOf(upstream, 'team/app')
    // So that the challenge is known and the blob's first answer is the blob.
    await upstreams.getManifest(target, latest, call)
    upstream.use(holding(gate, 10), { on: /GET .*blobs/ })
    const blob = await upstreams.getBlob(target, digest, 0, call)
    const wrong = { name: 'myuser', password: { reveal: () => 'old' } }
    upstreams.reload(settingsOf([entryFor(upstream, { user: wrong })]))
    const refused = upstreams.getManifest(target, latest, call)
    await assert.rejects(refused, isProblem('status', /401/))
    gate.open()
    assert.deepEqual(await contentOf(blob), bytes)
  })
})

test('connections of an entry that changed are closed when nobody needs them', async () => {
  await using upstream = await startUpstream()
  const closed = Promise.withResolvers<void>()
  let isClosed = false
  const transportFactory = (options: TransportOptions): Sender => {
    const transport = new Transport(options)
    const close = async () => {
      isClosed = true
      await transport[Symbol.asyncDispose]()
      closed.resolve()
    }
    return { send: transport.send, [Symbol.asyncDispose]: close }
  }
  await using driver = upstreamsOf(settingsOf([entryFor(upstream)]), { transportFactory })
  const target = targetOf(upstream, 'team/app')
  const blob = await driver.upstreams.getBlob(target, digest, 0, call)
  driver.upstreams.reload(settingsOf([entryFor(upstream, { maxConnections: 2 })]))
  await driver.upstreams.getManifest(target, latest, call)
  assert.equal(isClosed, false)
  await blob[Symbol.asyncDispose]()
  await closed.promise
})

describe('endpoints', () => {
  test('are asked in turn until one has a definite answer', async () => {
    await using gone = await FakeUpstream.start()
    const { host: goneHost } = gone
    await gone[Symbol.asyncDispose]()
    await using failingOne = await startUpstream()
    failingOne.use(failing(503))
    await using limited = await startUpstream()
    limited.use(failing(429))
    await using good = await startUpstream()
    await using spare = await startUpstream()
    const endpoints = [goneHost, failingOne.host, limited.host, good.host, spare.host]
    const entry = { ...entryFor({ host: 'registry.example' }), endpoints }
    await using driver = upstreamsOf(settingsOf([entry]))
    const target = targetOf({ host: 'registry.example' }, 'team/app')
    await driver.upstreams.getManifest(target, latest, call)
    assert.equal(good.requests.length, 1)
    const absent = driver.upstreams.getManifest(target, parseReference('absent'), call)
    await assert.rejects(absent, isProblem('status', /404/))
    assert.equal(spare.connections, 0)
    assert.deepEqual(
      driver.upstreams.states().map(({ host, endpoint }) => [host, endpoint]),
      endpoints.map((endpoint) => ['registry.example', endpoint]),
    )
  })

  test('are not given the credentials of the host they stand in for', async () => {
    await using mirror = await startUpstream()
    const login = { username: 'myuser', password: 'pass' }
    mirror.use(requiringBasic(login))
    const user = { name: 'myuser', password: { reveal: () => 'pass' } }
    const entry = entryFor({ host: 'registry.example' }, { user, endpoints: [mirror.host] })
    const target = targetOf({ host: 'registry.example' }, 'team/app')
    await using driver = upstreamsOf(settingsOf([entry]))
    await assert.rejects(driver.upstreams.getManifest(target, latest, call), /401/)
    for (const { headers } of mirror.requests) assert.equal(headers.authorization, undefined)
    // With an entry of their own they are asked as that one says.
    driver.upstreams.reload(settingsOf([entry, entryFor(mirror, { user })]))
    await driver.upstreams.getManifest(target, latest, call)
  })
})

describe('requests', () => {
  const via = ['1.0 proxy.example', '1.1 trow-aaaaaaaaaaaaaaaa']
  const whole = [...via, '1.1 trow-0123456789abcdef'].join(', ')

  test('tell through whom they came, after a redirect too', async () => {
    await using upstream = await startUpstream()
    await using storage = await startUpstream()
    upstream.use(redirecting(storage.origin), { on: /blobs/ })
    await using driver = driverOf(upstream)
    const target = targetOf(upstream, 'team/app')
    await driver.upstreams.getManifest(target, latest, { ...call, via })
    await contentOf(await driver.upstreams.getBlob(target, digest, 0, { ...call, via }))
    for (const { headers } of [...upstream.requests, ...storage.requests]) {
      assert.equal(headers.via, whole)
    }
    await driver.upstreams.getManifest(target, latest, call)
    assert.equal(upstream.requests.at(-1)?.headers.via, '1.1 trow-0123456789abcdef')
  })

  test('name the registry that they are about to the one that stands in for it', async () => {
    await using mirror = await startUpstream()
    mirror.content.addImage('library/app', image, 'latest', 'v1', 'v2')
    mirror.content.pageEntriesMax = 1
    await using storage = await startUpstream()
    const location = `${storage.origin}/v2/team/app/blobs/${digest}`
    const moved = { status: 307, headers: { location }, body: Buffer.alloc(0) }
    mirror.use(() => moved, { on: /team.*blobs/ })
    const entry = entryFor({ host: 'docker.io' }, { endpoints: [mirror.host] })
    await using driver = upstreamsOf(settingsOf([entry]))
    const { upstreams } = driver
    const hub = { host: 'docker.io' }
    await upstreams.headManifest(targetOf(hub, 'library/app'), latest, call)
    await contentOf(await upstreams.getBlob(targetOf(hub, 'team/app'), digest, 0, call))
    await upstreams.listTags(targetOf(hub, 'library/app'), { limit: 10 }, call)
    for (const { query } of mirror.requests) assert.deepEqual(query.getAll('ns'), ['docker.io'])
    assert.equal(mirror.requests.length > 4, true, mirror.log.join('\n'))
    assert.deepEqual(storage.log, [`GET /v2/team/app/blobs/${digest}`])
  })

  test('do not name it to the registry itself', async () => {
    await using upstream = await startUpstream()
    const entry = entryFor(upstream, { endpoints: [upstream.host] })
    await using driver = upstreamsOf(settingsOf([entry]))
    await driver.upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
    assert.equal(upstream.requests[0]?.query.has('ns'), false)
  })
})

test('an endpoint that would ask in a circle is passed over', async () => {
  await using circle = await startUpstream()
  await using upstream = await startUpstream()
  circle.use(failing(508, 'UNAVAILABLE'))
  const entry = entryFor({ host: 'docker.io' }, { endpoints: [circle.host, upstream.host] })
  await using driver = upstreamsOf(settingsOf([entry]))
  const target = targetOf({ host: 'docker.io' }, 'team/app')
  for (let time = 0; time < 7; time++) await driver.upstreams.getManifest(target, latest, call)
  assert.equal(circle.requests.length, 7)
  assert.deepEqual(
    driver.upstreams.states().map(({ breaker }) => breaker),
    ['closed', 'closed'],
  )
})
