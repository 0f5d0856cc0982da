/**
 * Blobs that are large enough to be hashed in a thread, pushed in each way and fetched from an upstream:
 * right ones are kept, wrong ones are not, and for small ones no thread is started.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { corrupting } from '../support/fake-upstream-behaviours.ts'
import { canShowThreads, hasHashThread } from '../support/hash-thread.ts'
import { startScene } from '../support/pull-through.ts'
import {
  assertError,
  makeBlob,
  sha512Digest,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const MiB = 1 << 20
const { bytes, digest } = makeBlob('large', 9 * MiB + 1)
const other = makeBlob('other').digest
const repository = 'large/app'
const skip = !canShowThreads && 'there is no thread here, or its name cannot be read'

async function* inPieces(from: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < from.length; start += 100_000) {
    yield Promise.resolve(from.subarray(start, start + 100_000))
  }
}

type Push = (registry: Registry, digest: string) => Promise<{ status: number }>

const ways: [name: string, push: Push][] = [
  [
    'in one PUT',
    async (registry, digest) => {
      const location = await startSession(registry, repository)
      return registry.request('PUT', withDigest(location, digest), { body: bytes })
    },
  ],
  [
    'in one POST without Content-Length',
    (registry, digest) => {
      const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`
      return registry.request('POST', path, { body: inPieces(bytes) })
    },
  ],
  [
    'in one PATCH without Content-Length, as docker does',
    async (registry, digest) => {
      const location = await startSession(registry, repository)
      await registry.request('PATCH', location, { body: inPieces(bytes) })
      return registry.request('PUT', withDigest(location, digest))
    },
  ],
  [
    'in two chunks, the second of them in the PUT',
    async (registry, digest) => {
      const location = await startSession(registry, repository)
      const first = { 'content-range': `0-${5 * MiB - 1}` }
      const body = bytes.subarray(0, 5 * MiB)
      await registry.request('PATCH', location, { body, headers: first })
      const last = { body: bytes.subarray(5 * MiB) }
      return registry.request('PUT', withDigest(location, digest), last)
    },
  ],
]

for (const scheme of ['http', 'https'] as const) {
  describe(`a large blob is pushed over ${scheme}`, () => {
    let registry: Registry
    before(async () => {
      const tls = issueCertificate(['127.0.0.1'])
      registry = await startRegistry(scheme === 'https' ? { tls } : {})
    })
    after(() => registry[Symbol.asyncDispose]())

    test('by nobody yet: then there is no thread, nor for small ones', { skip }, async () => {
      await registry.pushBlob(repository, makeBlob('small', 3 * MiB))
      const location = await startSession(registry, repository)
      const small = makeBlob('tiny', 10_000)
      await registry.request('PATCH', location, { body: inPieces(small.bytes) })
      const put = await registry.request('PUT', withDigest(location, small.digest))
      assert.equal(put.status, 201)
      assert.equal(hasHashThread(registry.pid), false)
    })

    for (const [name, push] of ways) {
      test(`${name}, and refused with a wrong digest`, async () => {
        const refused = await push(registry, other)
        assert.equal(refused.status, 400)
        const head = await registry.request('HEAD', `/v2/${repository}/blobs/${other}`)
        assert.equal(head.status, 404)
        for (const right of [digest, sha512Digest(bytes)]) {
          assert.equal((await push(registry, right)).status, 201)
          const got = await registry.request('GET', `/v2/${repository}/blobs/${right}`)
          assert.ok(got.body.equals(bytes))
        }
      })
    }

    test('and then there is a thread, and nothing to warn of', { skip }, () => {
      assert.equal(hasHashThread(registry.pid), true)
      const warnings = registry.logs().filter(({ level }) => level === 'warn')
      assert.deepEqual(warnings, [])
    })
  })
}

test('a large blob is fetched, and its end given to nobody when it is wrong', async () => {
  await using scene = await startScene()
  scene.upstream.content.addBlob('app', bytes)
  scene.upstream.use(corrupting(), { on: /GET .*blobs/, times: 1 })
  {
    using client = await scene.openBlob(digest)
    assert.equal((await client.readHead()).status, 200)
    const received = await client.readToEnd()
    assert.ok(received.length <= bytes.length - 64 * 1024, `${received.length} bytes`)
  }
  await until('nothing is staged', async () => (await scene.listStaged()).length === 0)
  if (canShowThreads) assert.equal(hasHashThread(scene.registry.pid), true)
  assert.ok((await scene.blob(digest)).body.equals(bytes))
  await scene.kept(digest)
  assert.equal((await scene.blob(digest)).header('x-cache'), 'HIT')
})

test('a wrong digest of a large blob says what it is', async () => {
  await using registry = await startRegistry()
  const location = await startSession(registry, repository)
  const put = await registry.request('PUT', withDigest(location, other), { body: bytes })
  assertError(put, 400, 'DIGEST_INVALID')
  assert.match(put.body.toString(), new RegExp(digest))
})
