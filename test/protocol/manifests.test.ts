/**
 * Manifests and tags pushed and pulled: bytes, media type and digest come back as they were pushed,
 * and a manifest is taken only with all that it needs.
 */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import type { Digest } from '../../src/oci/digest.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { type Content, imageFixture, sha256Digest } from '../support/image-fixture.ts'
import {
  assertError,
  makeBlob,
  makeManifest,
  ociIndex,
  ociManifest,
  pushConfig,
  pushTag,
  sha512Digest,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
let config: object
before(async () => {
  registry = await startRegistry()
  config = await pushConfig(registry, 'manifest/any')
})
after(() => registry[Symbol.asyncDispose]())

const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json'
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json'
const absentDigest = sha256Digest(Buffer.from('absent'))
const absent = { mediaType: ociManifest, digest: absentDigest, size: 6 }

const url = (reference: string, repository = 'manifest/any') =>
  `/v2/${repository}/manifests/${reference}`

const put = (reference: string, body: Buffer | string, contentType?: string) =>
  registry.request('PUT', url(reference), {
    body,
    ...(contentType !== undefined && { headers: { 'content-type': contentType } }),
  })

async function assertServed(reference: string, expected: Content): Promise<void> {
  const got = await registry.request('GET', url(reference))
  assert.equal(got.status, 200)
  assert.ok(got.body.equals(expected.bytes))
  assert.equal(got.header('content-type'), expected.mediaType)
  assert.equal(got.header('docker-content-digest'), expected.digest)
  assert.equal(got.header('content-length'), String(expected.bytes.length))
  assert.equal(got.header('etag'), `"${expected.digest}"`)
}

describe('a manifest', () => {
  test('is pushed by tag and can be pulled by tag and by digest', async () => {
    const manifest = makeManifest({ config, layers: [], annotations: { by: 'tag' } })
    const reply = await put('by-tag', manifest.bytes, ociManifest)
    assert.equal(reply.status, 201)
    assert.equal(reply.header('location'), url(manifest.digest))
    assert.equal(reply.header('docker-content-digest'), manifest.digest)
    await assertServed('by-tag', manifest)
    await assertServed(manifest.digest, manifest)
    await assertServed(manifest.digest.replace(':', '%3A'), manifest)
  })

  for (const [name, digestOf] of [
    ['sha256', sha256Digest],
    ['sha512', sha512Digest],
  ] as const) {
    test(`is pushed by its ${name} digest, and has no tag then`, async () => {
      const { bytes } = makeManifest({ config, layers: [], annotations: { by: name } })
      const digest = digestOf(bytes)
      const reply = await put(digest, bytes, ociManifest)
      assert.equal(reply.status, 201)
      assert.equal(reply.header('docker-content-digest'), digest)
      await assertServed(digest, { bytes, digest, mediaType: ociManifest })
    })
  }

  test('pushed under the digest of other bytes is refused', async () => {
    const { bytes } = makeManifest({ config, layers: [], annotations: { is: 'another' } })
    assertError(await put(absentDigest, bytes, ociManifest), 400, 'DIGEST_INVALID')
    assert.equal((await registry.request('HEAD', url(absentDigest))).status, 404)
    assert.equal((await registry.request('HEAD', url(sha256Digest(bytes)))).status, 404)
  })

  test('of several platforms comes back whole, children and all', async () => {
    for (const mediaTypes of ['oci', 'docker'] as const) {
      const platforms = ['linux/amd64', 'linux/arm64/v8']
      const image = imageFixture({ platforms, mediaTypes, layers: 1, layerBytes: 1000 })
      await registry.push('manifest/any', `multi-${mediaTypes}`, image)
      for (const manifest of image.manifests) await assertServed(manifest.digest, manifest)
      await assertServed(`multi-${mediaTypes}`, image.manifests.at(-1)!)
    }
  })

  test('pushed again is accepted and changes nothing', async () => {
    const manifest = await pushTag(registry, 'manifest/any', 'twice')
    assert.equal((await put('twice', manifest.bytes, ociManifest)).status, 201)
    await assertServed('twice', manifest)
  })
})

/** What clients write that a parser would not. */
const odd: [
  name: string,
  mediaType: string,
  contentType: string | undefined,
  text: () => string,
][] = [
  ['unknown fields', ociManifest, ociManifest, () => fields({ 'x-unknown': { a: [1, null] } })],
  [
    'white space',
    ociManifest,
    ociManifest,
    () => `\n\t ${JSON.stringify(JSON.parse(fields({})), null, 7)}\r\n`,
  ],
  ['no mediaType', ociManifest, ociManifest, () => fields({}, false)],
  ['neither mediaType nor Content-Type', ociManifest, undefined, () => fields({}, false)],
  [
    'a Content-Type that is none of a manifest',
    ociManifest,
    'application/json',
    () => fields({}, false),
  ],
  [
    'parameters after the Content-Type',
    ociManifest,
    `${ociManifest}; charset=utf-8`,
    () => fields({}),
  ],
  [
    'escapes and letters of any script',
    ociManifest,
    ociManifest,
    () => fields({ annotations: { é: '\u0001 日本' } }),
  ],
  ['the same name twice', ociManifest, ociManifest, () => fields({}).replace('{', '{"layers":[],')],
  [
    'numbers that lose digits',
    ociManifest,
    ociManifest,
    () => fields({ x: 0 }).replace('"x":0', '"x":1e400'),
  ],
  ['an empty index', ociIndex, ociIndex, () => JSON.stringify({ schemaVersion: 2, manifests: [] })],
  [
    'a docker manifest',
    dockerManifest,
    dockerManifest,
    () => JSON.stringify({ schemaVersion: 2, mediaType: dockerManifest, config, layers: [] }),
  ],
  [
    'a docker list',
    dockerList,
    dockerList,
    () => JSON.stringify({ schemaVersion: 2, mediaType: dockerList, manifests: [] }),
  ],
]

function fields(more: object, withType = true): string {
  return JSON.stringify({
    schemaVersion: 2,
    ...(withType && { mediaType: ociManifest }),
    config,
    layers: [],
    ...more,
  })
}

describe('bytes, media type and digest come back as pushed:', () => {
  for (const [index, [name, mediaType, contentType, text]] of odd.entries()) {
    test(name, async () => {
      const bytes = Buffer.from(text())
      const reply = await put(`odd-${index}`, bytes, contentType)
      assert.equal(reply.status, 201, reply.body.toString())
      const expected = { bytes, digest: sha256Digest(bytes), mediaType }
      await assertServed(`odd-${index}`, expected)
      const accept = 'application/vnd.docker.distribution.manifest.v1+json'
      const got = await registry.request('GET', url(`odd-${index}`), { headers: { accept } })
      assert.equal(got.header('content-type'), mediaType)
    })
  }

  test('all of them after a restart, when no cache is left', async () => {
    await registry.restart()
    for (const [index, [, mediaType, , text]] of odd.entries()) {
      const bytes = Buffer.from(text())
      await assertServed(`odd-${index}`, { bytes, digest: sha256Digest(bytes), mediaType })
    }
  })
})

describe('reading', () => {
  for (const by of ['tag', 'digest'] as const) {
    test(`by ${by} has the same headers for HEAD and GET, and says how long it holds`, async () => {
      const manifest = await pushTag(registry, 'manifest/any', 'read')
      const target = url(by === 'tag' ? 'read' : manifest.digest)
      const [get, head] = [
        await registry.request('GET', target),
        await registry.request('HEAD', target),
      ]
      for (const name of [
        'content-type',
        'content-length',
        'docker-content-digest',
        'etag',
        'cache-control',
      ]) {
        assert.equal(head.header(name), get.header(name))
      }
      assert.equal(head.body.length, 0)
      assert.match(get.header('cache-control'), by === 'tag' ? /^no-cache$/ : /immutable/)
      for (const method of ['GET', 'HEAD']) {
        const headers = { 'if-none-match': `"${manifest.digest}"` }
        const reply = await registry.request(method, target, { headers })
        assert.equal(reply.status, 304)
        assert.equal(reply.body.length, 0)
        assert.equal(reply.header('docker-content-digest'), manifest.digest)
      }
    })
  }

  test('a moved tag sees the new manifest at once, whoever cached the old one', async () => {
    for (let round = 0; round < 20; round += 1) {
      const manifest = await pushTag(registry, 'manifest/any', 'moving', `round ${round}`)
      await assertServed('moving', manifest)
      const headers = { 'if-none-match': `"${absentDigest}"` }
      const reply = await registry.request('GET', url('moving'), { headers })
      assert.equal(reply.status, 200)
    }
  })

  test('is from memory after the first time, by whatever tag or digest', async () => {
    const manifest = makeManifest({ config, layers: [], annotations: { by: 'several' } })
    for (const tag of ['one', 'other']) await put(tag, manifest.bytes, ociManifest)
    await registry.restart()
    await assertServed('one', manifest)
    await rm(new DataLayout(registry.dataDirectory).blob(manifest.digest as Digest))
    for (const reference of ['one', 'other', manifest.digest])
      await assertServed(reference, manifest)
    // What healed it.
    await put('one', manifest.bytes, ociManifest)
  })

  test('tags differ by case', async () => {
    const lower = await pushTag(registry, 'manifest/any', 'case', 'lower')
    const upper = await pushTag(registry, 'manifest/any', 'Case', 'upper')
    await assertServed('case', lower)
    await assertServed('Case', upper)
  })
})

describe('a manifest without what it needs is refused by name, and nothing changes:', () => {
  const missing = (mediaType: string) => ({ mediaType, digest: absentDigest, size: 6 })
  const layer = 'application/vnd.oci.image.layer.v1.tar+gzip'
  const cases: [name: string, mediaType: string, fields: () => object][] = [
    ['a layer', ociManifest, () => ({ config, layers: [missing(layer)] })],
    [
      'the config',
      ociManifest,
      () => ({ config: missing('application/vnd.oci.image.config.v1+json'), layers: [] }),
    ],
    ['a child', ociIndex, () => ({ manifests: [missing(ociManifest)] })],
    ['a docker child', dockerList, () => ({ manifests: [missing(dockerManifest)] })],
    ['a blob of an index', ociIndex, () => ({ manifests: [missing(layer)] })],
  ]
  for (const [name, mediaType, fields] of cases) {
    test(name, async () => {
      const before = await pushTag(registry, 'manifest/any', 'kept', name)
      const manifest = makeManifest(fields(), mediaType)
      const reply = await put('kept', manifest.bytes, mediaType)
      assertError(reply, 404, 'MANIFEST_BLOB_UNKNOWN')
      assert.match(reply.body.toString(), new RegExp(absentDigest))
      await assertServed('kept', before)
      assert.equal((await registry.request('HEAD', url(manifest.digest))).status, 404)
    })
  }

  test('a layer that only another repository has', async () => {
    const blob = makeBlob('elsewhere')
    await registry.pushBlob('manifest/elsewhere', blob)
    const layers = [{ mediaType: layer, digest: blob.digest, size: blob.bytes.length }]
    const { bytes } = makeManifest({ config, layers })
    assertError(await put('foreign', bytes, ociManifest), 404, 'MANIFEST_BLOB_UNKNOWN')
  })

  test('a layer whose only manifest and blob were deleted', async () => {
    const blob = makeBlob('was here')
    await registry.pushBlob('manifest/any', blob)
    await registry.request('DELETE', `/v2/manifest/any/blobs/${blob.digest}`)
    const layers = [{ mediaType: layer, digest: blob.digest, size: blob.bytes.length }]
    const { bytes } = makeManifest({ config, layers })
    assertError(await put('late', bytes, ociManifest), 404, 'MANIFEST_BLOB_UNKNOWN')
  })
})

describe('a manifest may do without', () => {
  for (const mediaType of [
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ]) {
    test(`a layer that lives elsewhere: ${mediaType}`, async () => {
      const layers = [{ mediaType, digest: absentDigest, size: 6, urls: ['https://example.com/'] }]
      const manifest = makeManifest({ config, layers })
      assert.equal((await put('foreign-layer', manifest.bytes, ociManifest)).status, 201)
      await assertServed('foreign-layer', manifest)
    })
  }

  test('its subject, which is named in the answer', async () => {
    const manifest = makeManifest({ config, layers: [], subject: absent })
    const reply = await put(manifest.digest, manifest.bytes, ociManifest)
    assert.equal(reply.status, 201)
    assert.equal(reply.header('oci-subject'), absentDigest)
    await assertServed(manifest.digest, manifest)
  })

  test('a subject, and then none is named', async () => {
    const manifest = makeManifest({ config, layers: [] })
    const reply = await put('no-subject', manifest.bytes, ociManifest)
    assert.equal(reply.headers['oci-subject'], undefined)
  })
})

describe('what is no manifest is refused, saying why:', () => {
  const schema1 = 'application/vnd.docker.distribution.manifest.v1+json'
  const cases: [name: string, text: () => string, contentType: string, reason: RegExp][] = [
    ['not JSON', () => 'hello', ociManifest, /not JSON/],
    ['not UTF-8', () => '{"a":"\u00ff"}', ociManifest, /manifest invalid/],
    ['nothing', () => '', ociManifest, /not JSON/],
    ['not an object', () => '[]', ociManifest, /not a JSON object/],
    ['another type than announced', () => fields({}), ociIndex, /Content-Type header says/],
    ['a type that is none', () => fields({ mediaType: 'text/plain' }), ociManifest, /text\/plain/],
    ['no config', () => '{"schemaVersion":2,"layers":[]}', ociManifest, /config/],
    [
      'a digest that is none',
      () => fields({ layers: [{ ...absent, digest: 'x' }] }),
      ociManifest,
      /layers\[0\]/,
    ],
    [
      'a size that is none',
      () => fields({ layers: [{ ...absent, size: -1 }] }),
      ociManifest,
      /layers\[0\]/,
    ],
    ['a subject that is none', () => fields({ subject: {} }), ociManifest, /subject/],
    [
      'annotations that are none',
      () => fields({ annotations: { a: 1 } }),
      ociManifest,
      /annotation/,
    ],
    [
      'schema 1 by its version',
      () => '{"schemaVersion":1,"fsLayers":[]}',
      '',
      /schema 1 is not supported/,
    ],
    ['schema 1 by its type', () => '{"schemaVersion":1}', schema1, /schema 1 is not supported/],
    [
      'schema 1, signed',
      () => '{}',
      schema1.replace('json', 'prettyjws'),
      /schema 1 is not supported/,
    ],
  ]
  for (const [name, text, contentType, reason] of cases) {
    test(name, async () => {
      const body = name === 'not UTF-8' ? Buffer.from(text(), 'latin1') : text()
      const reply = await put('invalid', body, contentType === '' ? undefined : contentType)
      assertError(reply, 400, 'MANIFEST_INVALID')
      assert.match(reply.body.toString(), reason)
      assert.equal((await registry.request('HEAD', url('invalid'))).status, 404)
    })
  }
})
