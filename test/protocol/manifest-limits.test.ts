/** How large manifests, how long names and tags, and how many tags at once may be, and what is said beyond. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sha256Digest } from '../support/image-fixture.ts'
import {
  assertError,
  makeManifest,
  ociManifest,
  pushConfig,
  pushTag,
} from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
let config: object
before(async () => {
  registry = await startRegistry()
  config = await pushConfig(registry, 'limit/any')
})
after(() => registry[Symbol.asyncDispose]())

const MiB = 1 << 20
const headers = { 'content-type': ociManifest }

/** A manifest of exactly so many bytes. */
function manifestOf(size: number): Buffer {
  const make = (filler: string) =>
    makeManifest({ config, layers: [], annotations: { filler } }).bytes
  return make('x'.repeat(size - make('').length))
}

async function* inChunks(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += 100_000) {
    yield await Promise.resolve(bytes.subarray(start, start + 100_000))
  }
}

describe('a manifest', () => {
  for (const isChunked of [false, true]) {
    const how = isChunked ? 'without Content-Length' : 'with Content-Length'
    test(`of 4 MiB is taken ${how}, and comes back`, async () => {
      const bytes = manifestOf(4 * MiB)
      assert.equal(bytes.length, 4 * MiB)
      const body = isChunked ? inChunks(bytes) : bytes
      const reply = await registry.request('PUT', '/v2/limit/any/manifests/large', {
        body,
        headers,
      })
      assert.equal(reply.status, 201)
      const got = await registry.request('GET', '/v2/limit/any/manifests/large')
      assert.ok(got.body.equals(bytes))
    })

    test(`of 4 MiB and a byte is refused ${how}, and nothing changes`, async () => {
      const bytes = manifestOf(4 * MiB + 1)
      const body = isChunked ? inChunks(bytes) : bytes
      const reply = await registry.request('PUT', '/v2/limit/any/manifests/over', { body, headers })
      assertError(reply, 413, 'SIZE_INVALID')
      assert.match(reply.body.toString(), /4194304/)
      const head = await registry.request('HEAD', '/v2/limit/any/manifests/over')
      assert.equal(head.status, 404)
    })
  }

  test('with a great many layers is taken as long as they are in bounds', async () => {
    const layers = Array.from({ length: 9_999 }, () => config)
    const { bytes } = makeManifest({ config, layers })
    const path = '/v2/limit/any/manifests/many'
    assert.equal((await registry.request('PUT', path, { body: bytes, headers })).status, 201)
  })
})

describe('tags at once', () => {
  const push = (tags: readonly string[], reference?: string) => {
    const { bytes, digest } = makeManifest({
      config,
      layers: [],
      annotations: { tags: tags.join() },
    })
    const query = tags.map((tag) => `tag=${tag}`).join('&')
    const path = `/v2/limit/any/manifests/${reference ?? digest}?${query}`
    return registry.request('PUT', path, { body: bytes, headers })
  }
  const names = (count: number, prefix: string) =>
    Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

  for (const count of [1, 4, 10, 64]) {
    test(`${count} of them point at the manifest, and are named in OCI-Tag`, async () => {
      const tags = names(count, `of-${count}`)
      const reply = await push(tags)
      assert.equal(reply.status, 201)
      assert.deepEqual(reply.header('oci-tag').split(', '), tags)
      for (const tag of tags) {
        const head = await registry.request('HEAD', `/v2/limit/any/manifests/${tag}`)
        assert.equal(head.header('docker-content-digest'), reply.header('docker-content-digest'))
      }
    })
  }

  test('64 of them of 128 characters each fit into a request', async () => {
    const tags = names(64, 'long').map((tag) => tag.padEnd(128, 'x'))
    assert.equal((await push(tags)).status, 201)
  })

  test('65 of them are too many, and none is made', async () => {
    assertError(await push(names(65, 'over')), 414, 'TAG_INVALID')
    const head = await registry.request('HEAD', '/v2/limit/any/manifests/over-0')
    assert.equal(head.status, 404)
  })

  test('one of them that is none refuses them all', async () => {
    assertError(await push(['good', '.bad']), 400, 'TAG_INVALID')
    assert.equal((await registry.request('HEAD', '/v2/limit/any/manifests/good')).status, 404)
  })

  test('a push without any has no OCI-Tag', async () => {
    const { bytes } = makeManifest({ config, layers: [], annotations: { tags: 'none' } })
    const path = `/v2/limit/any/manifests/${sha256Digest(bytes)}`
    const reply = await registry.request('PUT', path, { body: bytes, headers })
    assert.equal(reply.headers['oci-tag'], undefined)
  })
})

describe('a name', () => {
  const long = (length: number) =>
    'a/'
      .repeat(Math.floor(length / 2))
      .padEnd(length, 'b')
      .replace(/\/$/, 'b')
  const good = [
    'a',
    'library/nginx',
    'a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p',
    'x'.repeat(255),
    long(255),
    'a.b_c__d-e--f/0',
    'manifests/blobs',
    'a/blobs/uploads',
    'a/tags/list/x',
  ]
  for (const name of good) {
    test(`is taken and works throughout: ${name.slice(0, 40)} (${name.length})`, async () => {
      const manifest = await pushTag(registry, name, 'v1')
      const got = await registry.request('GET', `/v2/${name}/manifests/v1`)
      assert.ok(got.body.equals(manifest.bytes))
      const tags = await registry.request('GET', `/v2/${name}/tags/list`)
      assert.deepEqual(tags.json(), { name, tags: ['v1'] })
    })
  }

  const bad = [
    'x'.repeat(256),
    long(256),
    'Upper',
    'a_',
    '-a',
    'a___b',
    'a..b',
    'a//b',
    'a/../b',
    'ä',
  ]
  for (const name of bad) {
    test(`is refused by every endpoint: ${name.slice(0, 40)} (${name.length})`, async () => {
      using connection = await RawConnection.open(registry.url)
      const digest = sha256Digest(Buffer.alloc(0))
      for (const [method, path] of [
        ['GET', 'tags/list'],
        ['GET', 'manifests/v1'],
        ['PUT', 'manifests/v1'],
        ['DELETE', 'manifests/v1'],
        ['GET', `blobs/${digest}`],
        ['POST', 'blobs/uploads/'],
        ['GET', `referrers/${digest}`],
      ] as const) {
        // Not by node's client, which would tidy the path up.
        connection.writeHead(method, `/v2/${encodeURI(name)}/${path}`)
        assertError(await connection.readReply(), 400, 'NAME_INVALID')
      }
    })
  }
})

describe('a tag', () => {
  for (const tag of ['x'.repeat(128), '_', '0', 'A.b_c-D', 'latest']) {
    test(`is taken: ${tag.slice(0, 20)} (${tag.length})`, async () => {
      await pushTag(registry, 'limit/tag', tag)
      assert.equal((await registry.request('HEAD', `/v2/limit/tag/manifests/${tag}`)).status, 200)
    })
  }
  for (const tag of ['x'.repeat(129), '.a', '-a', 'a%20b', 'a%2Bb', '%C3%A4']) {
    test(`is refused: ${tag.slice(0, 20)} (${tag.length})`, async () => {
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const reply = await registry.request(method, `/v2/limit/tag/manifests/${tag}`)
        assertError(reply, 400, 'TAG_INVALID')
      }
    })
  }
})
