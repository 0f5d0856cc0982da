/**
 * What every answer has in common: version and request headers, the form of errors, HEAD without a
 * body, no content coding; and the addresses that are no part of the API.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ociErrors } from '../../src/oci/errors.ts'
import { imageFixture, sha256Digest } from '../support/image-fixture.ts'
import { assertError, startSession } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
const image = imageFixture({ layers: 1, layerBytes: 4096 })
const [blob] = image.blobs
const unknownDigest = `sha256:${'0'.repeat(64)}`

before(async () => {
  registry = await startRegistry({ flags: ['--log-level', 'debug'] })
  await registry.push('base/image', 'v1', image)
})
after(() => registry[Symbol.asyncDispose]())

describe('the base of the API', () => {
  for (const path of ['/v2/', '/v2']) {
    for (const method of ['GET', 'HEAD']) {
      test(`${method} ${path} says that this is a registry`, async () => {
        const reply = await registry.request(method, path)
        assert.equal(reply.status, 200)
        assert.equal(reply.header('docker-distribution-api-version'), 'registry/2.0')
        assert.equal(reply.body.toString(), method === 'GET' ? '{}' : '')
        assert.equal(reply.header('content-length'), '2')
      })
    }
  }

  test('a person at / is told how to push to and pull from the address that was asked', async () => {
    const reply = await registry.request('GET', '/', { headers: { host: 'registry.example:5000' } })
    assert.equal(reply.status, 200)
    assert.equal(reply.header('content-type'), 'text/html; charset=utf-8')
    assert.match(reply.body.toString(), /docker push registry\.example:5000\/my-app:v1/)
    assert.match(reply.body.toString(), /docker pull registry\.example:5000\/my-app:v1/)
  })

  test('a Host that is no host does not get into the page', async () => {
    using connection = await RawConnection.open(registry.url)
    connection.writeHead('GET', '/', { Host: '<script>alert(1)</script>' })
    const reply = await connection.readReply()
    assert.doesNotMatch(reply.body.toString(), /<script>/)
  })
})

/** Each kind of answer: found, missing, refused, ours. */
const requests: [method: string, path: string, status: number][] = [
  ['GET', '/', 200],
  ['GET', '/healthz', 200],
  ['GET', '/readiness', 200],
  ['GET', '/metrics', 200],
  ['GET', '/token', 200],
  ['GET', '/v2/', 200],
  ['GET', '/v2/_catalog', 200],
  ['GET', '/v2/base/image/tags/list', 200],
  ['GET', '/v2/base/image/manifests/v1', 200],
  ['GET', `/v2/base/image/blobs/${blob?.digest}`, 200],
  ['GET', `/v2/base/image/referrers/${unknownDigest}`, 200],
  ['POST', '/v2/base/image/blobs/uploads/', 202],
  ['GET', `/v2/base/image/blobs/${unknownDigest}`, 404],
  ['GET', '/v2/base/image/manifests/none', 404],
  ['GET', '/nothing', 404],
  ['DELETE', '/v2/', 405],
]

describe('every answer', () => {
  for (const [method, path, status] of requests) {
    test(`names the API's version and the request: ${method} ${path}`, async () => {
      const reply = await registry.request(method, path)
      assert.equal(reply.status, status)
      assert.equal(reply.header('docker-distribution-api-version'), 'registry/2.0')
      const id = reply.header('x-request-id')
      assert.match(id, /^[0-9a-f-]{36}$/)
      const line = await registry.logged(({ request, status }) => request === id && status !== null)
      assert.equal(line['status'], status)
      assert.equal(line['method'], method)
      assert.equal(line['path'], path)
    })

    test(`is sent as it is, whatever coding is accepted: ${method} ${path}`, async () => {
      const plain = await registry.request(method, path)
      const reply = await registry.request(method, path, {
        headers: { 'accept-encoding': 'gzip, deflate, br, zstd' },
      })
      assert.equal(reply.headers['content-encoding'], undefined)
      assert.equal(reply.header('content-length'), String(reply.body.length))
      const isSame = !['/metrics', '/token'].includes(path)
      if (isSame) assert.deepEqual(reply.body, plain.body)
    })
  }

  test('has another request id', async () => {
    const replies = await Promise.all([1, 2, 3].map(() => registry.request('GET', '/v2/')))
    const ids = new Set(replies.map((reply) => reply.header('x-request-id')))
    assert.equal(ids.size, 3)
  })

  const unread: [name: string, bytes: string, status: number][] = [
    ['to what is not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n', 400],
    ['to a request without Host', 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['to a header over the limit', `GET / HTTP/1.1\r\nX: ${'x'.repeat(33_000)}\r\n\r\n`, 431],
  ]
  for (const [name, bytes, status] of unread) {
    test(`${name} is an error of the same form, logged, and ends the connection`, async () => {
      using connection = await RawConnection.open(registry.url)
      connection.write(bytes)
      const reply = await connection.readReply()
      assertError(reply, status, 'UNKNOWN')
      assert.equal(reply.header('docker-distribution-api-version'), 'registry/2.0')
      const id = reply.header('x-request-id')
      const line = await registry.logged((line) => line['request'] === id)
      assert.equal(line['status'], status)
      assert.deepEqual(await connection.readToEnd(), Buffer.alloc(0))
    })
  }
})

test('an expectation that nobody knows is ignored', async () => {
  const reply = await registry.request('GET', '/v2/', { headers: { expect: 'the unexpected' } })
  assert.equal(reply.status, 200)
  assert.equal(reply.body.toString(), '{}')
})

/** Differ from answer to answer. */
const changing = new Set(['date', 'connection', 'keep-alive', 'x-request-id'])

describe('HEAD', () => {
  const paths = requests.filter(([method, path]) => method === 'GET' && path !== '/token')
  for (const [, path, status] of paths) {
    test(`has the headers of GET and no body: ${path}`, async () => {
      using connection = await RawConnection.open(registry.url)
      connection.writeHead('HEAD', path, { Host: registry.host })
      const head = await connection.readReply('HEAD')
      assert.equal(head.status, status)
      const get = await registry.request('GET', path)
      const comparable = ({ headers }: typeof get) => {
        const pairs = Object.entries(headers).filter(([name]) => !changing.has(name))
        return path === '/metrics' ? pairs.map(([name]) => name) : Object.fromEntries(pairs)
      }
      assert.deepEqual(comparable(head), comparable(get))
      // The next answer follows at once: nothing was sent between.
      connection.writeHead('GET', '/v2/')
      assert.equal((await connection.readReply()).status, 200)
    })
  }
})

describe('an error', () => {
  const cases: [method: string, path: string, status: number, code: keyof typeof ociErrors][] = [
    ['GET', '/nothing', 404, 'NOT_FOUND'],
    ['GET', '/v1/', 404, 'NOT_FOUND'],
    ['GET', '/v2/nothing', 404, 'NOT_FOUND'],
    ['GET', '/v2/a/b/c', 404, 'NOT_FOUND'],
    ['GET', '/v2/a/manifests/%ff', 400, 'NOT_FOUND'],
    ['GET', '/v2/unknown/tags/list', 404, 'NAME_UNKNOWN'],
    ['GET', '/v2/Upper/tags/list', 400, 'NAME_INVALID'],
    ['GET', '/v2//tags/list', 400, 'NAME_INVALID'],
    ['GET', '/v2/unknown/manifests/v1', 404, 'NAME_UNKNOWN'],
    ['GET', '/v2/base/image/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    ['GET', `/v2/base/image/manifests/${unknownDigest}`, 404, 'MANIFEST_UNKNOWN'],
    ['GET', '/v2/base/image/manifests/-x', 400, 'TAG_INVALID'],
    ['GET', '/v2/base/image/manifests/sha256:abc', 400, 'DIGEST_INVALID'],
    ['DELETE', '/v2/base/image/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    ['DELETE', '/v2/unknown/manifests/none', 404, 'NAME_UNKNOWN'],
    ['GET', `/v2/base/image/blobs/${unknownDigest}`, 404, 'BLOB_UNKNOWN'],
    ['GET', `/v2/unknown/blobs/${unknownDigest}`, 404, 'BLOB_UNKNOWN'],
    ['GET', '/v2/base/image/blobs/sha256:abc', 400, 'DIGEST_INVALID'],
    ['DELETE', `/v2/base/image/blobs/${unknownDigest}`, 404, 'BLOB_UNKNOWN'],
    ['GET', '/v2/base/image/blobs/uploads/none', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['PATCH', '/v2/base/image/blobs/uploads/none', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['DELETE', '/v2/base/image/blobs/uploads/none', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['POST', '/v2/Upper/blobs/uploads/', 400, 'NAME_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?digest=md5:abc', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/base/image/referrers/abc', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/_catalog?n=x', 400, 'PAGINATION_NUMBER_INVALID'],
    ['GET', '/v2/base/image/tags/list?n=-1', 400, 'PAGINATION_NUMBER_INVALID'],
    ['POST', '/token', 400, 'UNSUPPORTED'],
  ]
  for (const [method, path, status, code] of cases) {
    test(`is the specification's JSON: ${method} ${path} gives ${status} ${code}`, async () => {
      const reply = await registry.request(method, path)
      assertError(reply, status, code)
      const { errors } = reply.json() as { errors: Record<string, unknown>[] }
      assert.equal(typeof errors[0]?.['message'], 'string')
      assert.notEqual(errors[0]?.['message'], '')
      assert.equal(reply.header('content-length'), String(reply.body.length))
    })
  }

  const methods: [method: string, path: string, allow: string][] = [
    ['DELETE', '/v2/', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['PUT', '/v2/_catalog', 'GET, HEAD'],
    ['POST', '/v2/a/tags/list', 'GET, HEAD'],
    ['PATCH', '/v2/a/manifests/v1', 'HEAD, GET, PUT, DELETE'],
    ['PUT', `/v2/a/blobs/${unknownDigest}`, 'HEAD, GET, DELETE'],
    ['GET', '/v2/a/blobs/uploads/', 'POST'],
    ['POST', '/v2/a/blobs/uploads/1', 'GET, PATCH, PUT, DELETE'],
    ['DELETE', `/v2/a/referrers/${unknownDigest}`, 'GET, HEAD'],
    ['OPTIONS', '/v2/', 'GET, HEAD'],
    ['PROPFIND', '/v2/', 'GET, HEAD'],
    ['DELETE', '/token', 'GET, POST'],
  ]
  for (const [method, path, allow] of methods) {
    test(`for a method that is none of an address's says which are: ${method} ${path}`, async () => {
      const reply = await registry.request(method, path)
      assertError(reply, 405, 'UNSUPPORTED')
      assert.equal(reply.header('allow'), allow)
    })
  }
})

test('an address in the absolute form, as clients of proxies send it, means the same', async () => {
  using connection = await RawConnection.open(registry.url)
  connection.writeHead('GET', 'http://registry.test/v2/base/image/tags/list?n=1')
  const reply = await connection.readReply()
  assert.deepEqual(reply.json(), { name: 'base/image', tags: ['v1'] })
})

test('many requests go over one connection, one after the other and at once', async () => {
  using connection = await RawConnection.open(registry.url)
  const location = new URL(await startSession(registry, 'base/image'), registry.url).pathname
  const pipelined: [string, string, number][] = [
    ['GET', '/v2/', 200],
    ['GET', '/nothing', 404],
    ['GET', `/v2/base/image/blobs/${blob?.digest}`, 200],
    ['DELETE', location, 204],
    ['GET', '/v2/base/image/manifests/v1', 200],
  ]
  for (const [method, path] of pipelined) connection.writeHead(method, path)
  for (const [method, , status] of pipelined) {
    assert.equal((await connection.readReply(method)).status, status)
  }
})

test('what is not HTTP never gets into the middle of a blob', async () => {
  const bytes = Buffer.alloc(32 << 20, 'trow')
  const digest = sha256Digest(bytes)
  await registry.pushBlob('base/image', { bytes, digest })
  using connection = await RawConnection.open(registry.url)
  connection.writeHead('GET', `/v2/base/image/blobs/${digest}`)
  const head = await connection.readHead()
  assert.equal(head.status, 200)
  connection.write('this is not HTTP\r\n\r\n')
  const received = await connection.readToEnd()
  assert.ok(received.equals(bytes.subarray(0, received.length)))
})
