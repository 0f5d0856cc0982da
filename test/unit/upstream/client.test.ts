import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf, parseDigest } from '../../../src/oci/digest.ts'
import { type Reference, parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import type { RegistryClient } from '../../../src/upstream/client.ts'
import { UpstreamError, type UpstreamProblem } from '../../../src/oci/upstream-error.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import {
  answering,
  corrupting,
  cutting,
  failing,
  Gate,
  holding,
  rateLimiting,
  redirecting,
  withHeaders,
  withoutHeader,
} from '../../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../../support/image-fixture.ts'
import { clientOf } from '../../support/upstream-client.ts'

const signal = new AbortController().signal
const repository = parseRepositoryName('team/app')
const latest = parseReference('latest')
const image = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'] })
const rootDigest = parseDigest(image.root.digest)
const layer = image.blobs[1]!
const layerDigest = parseDigest(layer.digest)

async function startUpstream(): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start()
  upstream.content.addImage(repository, image, 'latest', 'v1')
  return upstream
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  return await Array.fromAsync(items)
}

function isProblem(problem: UpstreamProblem, message = /./): (error: unknown) => boolean {
  return (error) =>
    error instanceof UpstreamError && error.problem === problem && message.test(error.message)
}

async function readBlob(client: RegistryClient): Promise<Buffer> {
  await using blob = await client.getBlob(repository, layerDigest, signal)
  return Buffer.concat(await collect(blob.chunks))
}

describe('a manifest', () => {
  test('comes back by tag and by digest as it was pushed', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    for (const reference of [latest, rootDigest]) {
      const manifest = await client.getManifest(repository, reference, signal)
      assert.deepEqual(manifest.bytes, image.manifests.at(-1)!.bytes)
      assert.equal(manifest.digest, image.root.digest)
      assert.equal(manifest.mediaType, image.root.mediaType)
    }
    const accept = upstream.requests[0]?.headers.accept ?? ''
    for (const type of ['oci.image.index', 'oci.image.manifest', 'manifest.list', 'manifest.v2']) {
      assert.match(accept, new RegExp(type.replaceAll('.', String.raw`\.`)))
    }
  })

  test('is asked for once, without a ping before it', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    await client.getManifest(repository, latest, signal)
    assert.deepEqual(upstream.log, ['GET /v2/team/app/manifests/latest'])
  })

  test('may be addressed by sha512', async () => {
    await using upstream = await startUpstream()
    const { bytes, mediaType } = image.manifests[0]!
    const digest = digestOf(bytes, 'sha512')
    upstream.content.addManifest(repository, { bytes, mediaType, digest })
    await using client = clientOf(upstream)
    assert.equal((await client.getManifest(repository, digest, signal)).digest, digest)
  })

  test('without a digest header gets the digest of its bytes', async () => {
    await using upstream = await startUpstream()
    upstream.use(withoutHeader('docker-content-digest'))
    await using client = clientOf(upstream)
    const { digest } = await client.getManifest(repository, latest, signal)
    assert.equal(digest, image.root.digest)
  })

  for (const contentType of ['text/plain', 'application/json; charset=utf-8', '']) {
    test(`of content type "${contentType}" gets the type of its own document`, async () => {
      await using upstream = await startUpstream()
      upstream.use(withHeaders({ 'content-type': contentType }))
      await using client = clientOf(upstream)
      const { mediaType } = await client.getManifest(repository, latest, signal)
      assert.equal(mediaType, image.root.mediaType)
    })
  }

  const references: [what: string, reference: Reference][] = [
    ['tag', latest],
    ['digest', rootDigest],
  ]
  for (const [what, reference] of references) {
    test(`with wrong bytes is refused when it is asked for by ${what}`, async () => {
      await using upstream = await startUpstream()
      upstream.use(corrupting())
      await using client = clientOf(upstream)
      await assert.rejects(
        client.getManifest(repository, reference, signal),
        isProblem('content', /wrong content/),
      )
    })
  }

  test('whose digest header names another is refused', async () => {
    await using upstream = await startUpstream()
    upstream.use(withHeaders({ 'docker-content-digest': layer.digest }))
    await using client = clientOf(upstream)
    await assert.rejects(client.getManifest(repository, latest, signal), isProblem('content'))
  })

  test('that is a web page is refused', async () => {
    await using upstream = await startUpstream()
    upstream.use(answering(200, 'text/html', '<html>Please pay for the Wi-Fi</html>'))
    await using client = clientOf(upstream)
    await assert.rejects(client.getManifest(repository, latest, signal), isProblem('content'))
  })

  test('over 4 MiB is refused', async () => {
    await using upstream = await startUpstream()
    const padding = ' '.repeat(4 * 1024 * 1024)
    upstream.use(answering(200, image.root.mediaType, `{}${padding}`))
    await using client = clientOf(upstream)
    await assert.rejects(
      client.getManifest(repository, latest, signal),
      isProblem('content', /more than 4194304 bytes/),
    )
  })

  test('that is not there is a 404 with its code', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    await assert.rejects(
      client.getManifest(repository, parseReference('absent'), signal),
      (error) =>
        isProblem('status')(error) &&
        error instanceof UpstreamError &&
        error.status === 404 &&
        error.codes.includes('MANIFEST_UNKNOWN'),
    )
  })
})

describe('the head of a manifest', () => {
  test('is one HEAD', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    const { mediaType, digest, size } = image.root
    const head = await client.headManifest(repository, latest, signal)
    assert.deepEqual(head, { mediaType, digest, size })
    assert.deepEqual(upstream.log, ['HEAD /v2/team/app/manifests/latest'])
  })

  const useless = [
    ['is not supported', failing(405, 'UNSUPPORTED')],
    ['denies that there is one', failing(404, 'MANIFEST_UNKNOWN')],
    ['names no digest', withoutHeader('docker-content-digest')],
    ['names no manifest type', withHeaders({ 'content-type': 'text/plain' })],
  ] as const
  for (const [what, behaviour] of useless) {
    test(`comes from a GET where HEAD ${what}, which brings the manifest along`, async () => {
      await using upstream = await startUpstream()
      upstream.use(behaviour, { on: /^HEAD/ })
      await using client = clientOf(upstream)
      const head = await client.headManifest(repository, latest, signal)
      assert.equal(head.digest, image.root.digest)
      assert.equal(head.size, image.root.size)
      assert.deepEqual(head.manifest?.bytes, image.manifests.at(-1)!.bytes)
    })
  }

  test('of what is not there is a 404, with the code that HEAD cannot have', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    const absent = parseReference('absent')
    const head = client.headManifest(repository, absent, signal)
    await assert.rejects(head, { status: 404, codes: ['MANIFEST_UNKNOWN'] })
    assert.equal(upstream.requests.length, 2)
  })

  test('that is refused is refused without a GET', async () => {
    await using upstream = await startUpstream()
    upstream.use(failing(403, 'DENIED'))
    await using client = clientOf(upstream)
    await assert.rejects(client.headManifest(repository, latest, signal), isProblem('status'))
    assert.equal(upstream.requests.length, 1)
  })
})

describe('a blob', () => {
  test('streams with its size', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    await using blob = await client.getBlob(repository, layerDigest, signal)
    assert.equal(blob.size, layer.bytes.length)
    assert.deepEqual(Buffer.concat(await collect(blob.chunks)), layer.bytes)
  })

  test('starts to stream before its end has come', async () => {
    await using upstream = await startUpstream()
    const gate = new Gate()
    upstream.use(holding(gate, 1_000))
    await using client = clientOf(upstream)
    await using blob = await client.getBlob(repository, layerDigest, signal)
    const chunks = blob.chunks[Symbol.asyncIterator]()
    const first = await chunks.next()
    assert.ok(!first.done && first.value.length <= 1_000)
    gate.open()
  })

  test('that breaks off is an error, not a short blob', async () => {
    await using upstream = await startUpstream()
    upstream.use(cutting(1_000), { on: /blobs/ })
    await using client = clientOf(upstream)
    await assert.rejects(readBlob(client), isProblem('connection'))
  })

  test('that is read whole is verified', async () => {
    await using upstream = await startUpstream()
    await using client = clientOf(upstream)
    const options = { bytesMax: layer.bytes.length, signal }
    assert.deepEqual(await client.readBlob(repository, layerDigest, options), layer.bytes)
    const short = { bytesMax: layer.bytes.length - 1, signal }
    await assert.rejects(client.readBlob(repository, layerDigest, short), isProblem('content'))
    upstream.use(corrupting())
    await assert.rejects(client.readBlob(repository, layerDigest, options), /wrong content/)
  })

  test('is asked for as it is, and refused when it comes encoded', async () => {
    await using upstream = await startUpstream()
    upstream.use(withHeaders({ 'content-encoding': 'gzip' }))
    await using client = clientOf(upstream)
    await assert.rejects(readBlob(client), isProblem('content', /encoded/))
    assert.equal(upstream.requests[0]?.headers['accept-encoding'], 'identity')
  })

  test('is fetched from where the registry redirects to', async () => {
    await using upstream = await startUpstream()
    await using storage = await startUpstream()
    upstream.use(redirecting(storage.origin), { on: /blobs/ })
    await using client = clientOf(upstream)
    assert.deepEqual(await readBlob(client), layer.bytes)
    assert.equal(storage.requests.length, 1)
  })

  test('may be let go of half-way', async () => {
    await using upstream = await startUpstream()
    const gate = new Gate()
    upstream.use(holding(gate, 1_000), { on: /blobs/ })
    await using client = clientOf(upstream)
    for (let i = 0; i < 40; i++) {
      await using blob = await client.getBlob(repository, layerDigest, signal)
      for await (const chunk of blob.chunks) {
        assert.ok(chunk.length > 0)
        break
      }
    }
    await client.getManifest(repository, latest, signal)
  })
})

describe('lists', () => {
  test('are followed page by page, each asked for when it is needed', async () => {
    await using upstream = await startUpstream()
    const tags = Array.from({ length: 7 }, (_, i) => `t${i}`)
    for (const tag of tags) upstream.content.setTag('many', tag, image.root.digest)
    upstream.content.pageEntriesMax = 3
    await using client = clientOf(upstream)
    const many = parseRepositoryName('many')
    assert.deepEqual(await collect(client.listTags(many, signal)), tags)
    assert.equal(upstream.requests.length, 3)
    for await (const tag of client.listTags(many, signal)) if (tag === 't2') break
    assert.equal(upstream.requests.length, 4)
  })

  test('name the repositories', async () => {
    await using upstream = await startUpstream()
    upstream.content.addImage('alpine', image, 'latest')
    await using client = clientOf(upstream)
    assert.deepEqual(await collect(client.listRepositories(signal)), ['alpine', 'team/app'])
  })

  test('leave out names that could not be asked for', async () => {
    await using upstream = await startUpstream()
    const names = ['ok', '../x', '\u001b[2J', 5, null, 'Upper']
    const body = JSON.stringify({ tags: names, repositories: names })
    upstream.use(answering(200, 'application/json', body))
    await using client = clientOf(upstream)
    assert.deepEqual(await collect(client.listTags(repository, signal)), ['ok', 'Upper'])
    assert.deepEqual(await collect(client.listRepositories(signal)), ['ok'])
  })

  test('of no tags may be null', async () => {
    await using upstream = await startUpstream()
    upstream.use(answering(200, 'application/json', '{"name":"team/app","tags":null}'))
    await using client = clientOf(upstream)
    assert.deepEqual(await collect(client.listTags(repository, signal)), [])
  })

  test('that go on at another host are not followed there', async () => {
    await using upstream = await startUpstream()
    upstream.use(withHeaders({ link: '<http://evil.example/v2/_catalog>; rel="next"' }))
    await using client = clientOf(upstream)
    await assert.rejects(collect(client.listRepositories(signal)), isProblem('content'))
    assert.equal(upstream.requests.length, 1)
  })
})

describe('referrers', () => {
  const signature = imageFixture({
    seed: 9,
    subject: image.root,
  })

  test('come from the API', async () => {
    await using upstream = await startUpstream()
    upstream.content.addImage(repository, signature)
    await using client = clientOf(upstream)
    const referrers = await client.listReferrers(repository, rootDigest, signal)
    assert.deepEqual(
      referrers.map(({ digest }) => digest),
      [signature.root.digest],
    )
    assert.equal(upstream.requests.length, 1)
  })

  test('come from the tag that stands in for the API', async () => {
    await using upstream = await startUpstream()
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    const document = { schemaVersion: 2, mediaType, manifests: [signature.root] }
    const bytes = Buffer.from(JSON.stringify(document))
    const tag = image.root.digest.replace(':', '-')
    upstream.content.addManifest(repository, { bytes, mediaType, digest: digestOf(bytes) }, tag)
    upstream.use(failing(404), { on: /referrers/ })
    await using client = clientOf(upstream)
    const [referrer] = await client.listReferrers(repository, rootDigest, signal)
    assert.equal(referrer?.digest, signature.root.digest)
  })

  test('are none where there is neither', async () => {
    await using upstream = await startUpstream()
    upstream.use(failing(404), { on: /referrers/ })
    await using client = clientOf(upstream)
    assert.deepEqual(await client.listReferrers(repository, rootDigest, signal), [])
  })
})

describe('failures that pass are waited out', () => {
  const passing = [
    ['503', failing(503)],
    ['429 with Retry-After', rateLimiting('1')],
    ['a connection that breaks', cutting()],
  ] as const
  for (const [what, behaviour] of passing) {
    test(what, async () => {
      await using upstream = await startUpstream()
      upstream.use(behaviour, { times: 2 })
      await using client = clientOf(upstream)
      await client.getManifest(repository, latest, signal)
      assert.equal(upstream.requests.length, 3)
    })
  }

  test('and given up, with what the upstream said', async () => {
    await using upstream = await startUpstream()
    upstream.use(rateLimiting('3600'))
    await using client = clientOf(upstream)
    await assert.rejects(
      client.getManifest(repository, latest, signal),
      (error) =>
        error instanceof UpstreamError &&
        error.status === 429 &&
        error.retryAfterMs === 3_600_000 &&
        error.codes.includes('TOOMANYREQUESTS'),
    )
    assert.equal(upstream.requests.length, 1)
  })
})

test('a request ends when its signal is aborted, with the signal’s reason', async () => {
  await using upstream = await startUpstream()
  const gate = new Gate()
  const arrived = Promise.withResolvers<void>()
  upstream.use(holding(gate)).use(async (_, next) => {
    arrived.resolve()
    return await next()
  })
  await using client = clientOf(upstream)
  const controller = new AbortController()
  const answer = client.getManifest(repository, latest, controller.signal)
  await arrived.promise
  const reason = new Error('the client went away')
  controller.abort(reason)
  await assert.rejects(answer, reason)
  gate.open()
})

test('a registry that is not there is a refused connection', async () => {
  const upstream = await startUpstream()
  const { host, origin } = upstream
  await upstream[Symbol.asyncDispose]()
  await using client = clientOf({ host, origin })
  await assert.rejects(client.getManifest(repository, latest, signal), isProblem('refused'))
})

test('a registry that never answers is a time-out', async () => {
  await using upstream = await startUpstream()
  const gate = new Gate()
  upstream.use(holding(gate))
  await using client = clientOf(upstream, { transport: { headersSecondsMax: 0.05 } })
  await assert.rejects(client.getManifest(repository, latest, signal), isProblem('timeout'))
  gate.open()
})
