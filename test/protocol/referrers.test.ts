/** The referrers of a manifest ("Listing Referrers"): what is told of each, the filter, and pages. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { type Content, sha256Digest } from '../support/image-fixture.ts'
import {
  assertError,
  makeManifest,
  ociIndex,
  ociManifest,
  pushConfig,
  pushTag,
  sha512Digest,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
let subject: object
let subjectDigest = ''
let config: object
const repository = 'referrer/any'

interface Referrer {
  readonly digest: string
  readonly artifactType?: string
}

before(async () => {
  registry = await startRegistry()
  config = await pushConfig(registry, repository)
  const manifest = await pushTag(registry, repository, 'v1')
  subjectDigest = manifest.digest
  subject = describeContent(manifest)
  for (const [, manifest] of Object.entries(referrers())) {
    const reply = await registry.pushManifest(repository, manifest.digest, manifest)
    assert.equal(reply.header('oci-subject'), subjectDigest)
  }
})
after(() => registry[Symbol.asyncDispose]())

function describeContent({ mediaType, digest, bytes }: Content) {
  return { mediaType, digest, size: bytes.length }
}

function referrers() {
  const emptyConfig = { ...config, mediaType: 'application/vnd.example.config+json' }
  return {
    sbom: makeManifest({
      artifactType: 'application/vnd.example.sbom',
      config,
      layers: [],
      subject,
      annotations: { 'org.example.format': 'json', 'org.example.created': '2024-01-01' },
    }),
    fallback: makeManifest({ config: emptyConfig, layers: [], subject }),
    emptyType: makeManifest({
      artifactType: '',
      config: emptyConfig,
      layers: [],
      subject,
      annotations: { a: 'b' },
    }),
    index: makeManifest({ manifests: [], subject }, ociIndex),
    typedIndex: makeManifest(
      {
        artifactType: 'application/vnd.example.sbom',
        manifests: [],
        subject,
        annotations: { of: 'index' },
      },
      ociIndex,
    ),
  }
}

const path = (digest = subjectDigest, query = '') => `/v2/${repository}/referrers/${digest}${query}`

async function list(target: string): Promise<{ reply: Reply; manifests: Referrer[] }> {
  const reply = await registry.request('GET', target)
  assert.equal(reply.status, 200, reply.body.toString())
  assert.equal(reply.header('content-type'), ociIndex)
  const { manifests, ...index } = reply.json() as { manifests: Referrer[] }
  assert.deepEqual(index, { schemaVersion: 2, mediaType: ociIndex })
  return { reply, manifests }
}

const byDigest = (one: Referrer, other: Referrer) => (one.digest < other.digest ? -1 : 1)

describe('the referrers of a manifest', () => {
  test('are told with type, size, artifact type and annotations', async () => {
    const { sbom, fallback, emptyType, index, typedIndex } = referrers()
    const { reply, manifests } = await list(path())
    const expected = [
      {
        ...describeContent(sbom),
        artifactType: 'application/vnd.example.sbom',
        annotations: { 'org.example.format': 'json', 'org.example.created': '2024-01-01' },
      },
      // Without an artifact type of its own an image has its config's ...
      { ...describeContent(fallback), artifactType: 'application/vnd.example.config+json' },
      {
        ...describeContent(emptyType),
        artifactType: 'application/vnd.example.config+json',
        annotations: { a: 'b' },
      },
      // ... and an index has none.
      describeContent(index),
      {
        ...describeContent(typedIndex),
        artifactType: 'application/vnd.example.sbom',
        annotations: { of: 'index' },
      },
    ].sort(byDigest)
    assert.deepEqual(manifests, expected)
    assert.equal(reply.headers['oci-filters-applied'], undefined)
    assert.equal(reply.headers['link'], undefined)
  })

  for (const [type, names] of [
    ['application/vnd.example.sbom', ['sbom', 'typedIndex']],
    ['application/vnd.example.config+json', ['fallback', 'emptyType']],
    ['application/vnd.example.none', []],
  ] as const) {
    test(`are filtered by artifact type, which is said: ${type}`, async () => {
      const all = referrers()
      const query = `?artifactType=${encodeURIComponent(type)}`
      const { reply, manifests } = await list(path(subjectDigest, query))
      assert.deepEqual(
        manifests.map(({ digest }) => digest),
        names.map((name) => all[name].digest).sort(),
      )
      assert.equal(reply.header('oci-filters-applied'), 'artifactType')
    })
  }

  test('are complete when their Links are followed, with the filter kept', async () => {
    for (const query of ['?n=1', '?n=2', '?n=1&artifactType=application/vnd.example.sbom']) {
      const whole = await list(path(subjectDigest, query.replace(/n=\d&?/, '')))
      const found: Referrer[] = []
      let next: string | undefined = path(subjectDigest, query)
      while (next !== undefined) {
        const { reply, manifests } = await list(next)
        found.push(...manifests)
        assert.ok(manifests.length <= 2)
        const [, target] = /^<([^>]+)>; rel="next"$/.exec(String(reply.headers['link'])) ?? []
        next = target
      }
      assert.deepEqual(found, whole.manifests)
    }
  })

  for (const [name, digest] of [
    ['an unknown subject', sha256Digest(Buffer.from('unknown'))],
    ['an unknown subject by sha512', sha512Digest(Buffer.from('unknown'))],
  ] as const) {
    test(`are none, which is no error, for ${name}`, async () => {
      assert.deepEqual((await list(path(digest))).manifests, [])
    })
  }

  test('are none, which is no error, in an unknown repository', async () => {
    const { manifests } = await list(`/v2/referrer/unknown/referrers/${subjectDigest}`)
    assert.deepEqual(manifests, [])
  })

  test('of another repository are not told', async () => {
    await pushConfig(registry, 'referrer/other')
    assert.deepEqual((await list(`/v2/referrer/other/referrers/${subjectDigest}`)).manifests, [])
  })

  for (const digest of ['v1', 'sha256:abc', 'md5:0123']) {
    test(`of what is no digest are an error: ${digest}`, async () => {
      assertError(await registry.request('GET', path(digest)), 400, 'DIGEST_INVALID')
    })
  }

  test('of a subject by sha512, pushed before it, are found', async () => {
    const bytes = makeManifest({ config, layers: [], annotations: { late: 'yes' } }).bytes
    const digest = sha512Digest(bytes)
    const late = { mediaType: ociManifest, digest, size: bytes.length }
    const referrer = makeManifest({ config, layers: [], subject: late })
    const reply = await registry.pushManifest(repository, 'before', referrer)
    assert.equal(reply.header('oci-subject'), digest)
    assert.deepEqual(
      (await list(path(digest))).manifests.map(({ digest }) => digest),
      [referrer.digest],
    )
    await registry.pushManifest(repository, digest, { bytes, mediaType: ociManifest })
    assert.equal((await list(path(digest))).manifests.length, 1)
  })
})

test('a page of referrers is never larger than a manifest may be', async () => {
  const target = sha256Digest(Buffer.from('subject of many'))
  const about = { mediaType: ociManifest, digest: target, size: 15 }
  const expected: string[] = []
  for (let index = 0; index < 6; index += 1) {
    const annotations = { index: String(index), filler: 'x'.repeat(1_000_000) }
    const manifest = makeManifest({ config, layers: [], subject: about, annotations })
    await registry.pushManifest(repository, manifest.digest, manifest)
    expected.push(manifest.digest)
  }
  const found: string[] = []
  let next: string | undefined = path(target)
  let pages = 0
  while (next !== undefined) {
    const { reply, manifests } = await list(next)
    assert.ok(reply.body.length <= 4 << 20, `${reply.body.length} bytes`)
    assert.ok(manifests.length > 0)
    found.push(...manifests.map(({ digest }) => digest))
    const [, link] = /^<([^>]+)>; rel="next"$/.exec(String(reply.headers['link'])) ?? []
    next = link
    pages += 1
  }
  assert.deepEqual(found, expected.sort())
  assert.ok(pages > 1)
})
