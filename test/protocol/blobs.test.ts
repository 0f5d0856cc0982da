/**
 * Blobs read, mounted and deleted: what their headers say, through which repository they can be seen,
 * and for how long.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { imageFixture } from '../support/image-fixture.ts'
import {
  assertError,
  makeBlob,
  makeManifest,
  pushConfig,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
  await registry.pushBlob('blob/here', blob)
})
after(() => registry[Symbol.asyncDispose]())

const blob = makeBlob('a blob', 12_345)
const path = `/v2/blob/here/blobs/${blob.digest}`
const etag = `"${blob.digest}"`

describe('a blob', () => {
  for (const method of ['GET', 'HEAD']) {
    test(`is told of with length, digest, type and validators by ${method}`, async () => {
      const reply = await registry.request(method, path)
      assert.equal(reply.status, 200)
      assert.equal(reply.header('content-length'), '12345')
      assert.equal(reply.header('docker-content-digest'), blob.digest)
      assert.equal(reply.header('content-type'), 'application/octet-stream')
      assert.equal(reply.header('etag'), etag)
      assert.equal(reply.header('accept-ranges'), 'bytes')
      assert.match(reply.header('cache-control'), /\bimmutable\b/)
      assert.match(reply.header('cache-control'), /\bmax-age=31536000\b/)
      assert.ok(method === 'HEAD' ? reply.body.length === 0 : reply.body.equals(blob.bytes))
    })

    const known = [etag, `W/${etag}`, '*', `"other", ${etag}`]
    for (const value of known) {
      test(`is not sent again to who has it: ${method} If-None-Match: ${value}`, async () => {
        const reply = await registry.request(method, path, { headers: { 'if-none-match': value } })
        assert.equal(reply.status, 304)
        assert.equal(reply.header('etag'), etag)
        assert.equal(reply.header('docker-content-digest'), blob.digest)
        assert.match(reply.header('cache-control'), /\bimmutable\b/)
        assert.equal(reply.body.length, 0)
      })
    }

    test(`is sent to who has another one: ${method} If-None-Match`, async () => {
      const headers = { 'if-none-match': '"sha256:other"' }
      assert.equal((await registry.request(method, path, { headers })).status, 200)
    })
  }

  test('may be asked for with the colon percent-encoded', async () => {
    const encoded = path.replace('sha256:', 'sha256%3A')
    assert.ok((await registry.request('GET', encoded)).body.equals(blob.bytes))
  })

  test('is readable through the repository that has it only', async () => {
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      for (const repository of ['blob/elsewhere', 'blob', 'blob/here/below']) {
        const reply = await registry.request(method, `/v2/${repository}/blobs/${blob.digest}`)
        assert.equal(reply.status, 404)
        if (method !== 'HEAD') assert.deepEqual(reply.codes(), ['BLOB_UNKNOWN'])
      }
    }
    assert.equal((await registry.request('HEAD', path)).status, 200)
  })

  test('that is a manifest is none: it is read at the manifests only', async () => {
    const config = await pushConfig(registry, 'blob/manifest')
    const manifest = makeManifest({ config, layers: [] })
    await registry.pushManifest('blob/manifest', 'v1', manifest)
    const reply = await registry.request('GET', `/v2/blob/manifest/blobs/${manifest.digest}`)
    assertError(reply, 404, 'BLOB_UNKNOWN')
  })
})

describe('a mount', () => {
  const mount = (repository: string, query: string) =>
    registry.request('POST', `/v2/${repository}/blobs/uploads/?mount=${query}`)

  for (const [name, query] of [
    ['from a named repository', `${blob.digest}&from=blob/here`],
    ['from a named repository, percent-encoded', `${blob.digest}&from=blob%2Fhere`],
    ['from any repository that has it', blob.digest],
  ] as const) {
    test(`gives a repository the blob without its bytes: ${name}`, async () => {
      const repository = `mount/to-${name.length}`
      const reply = await mount(repository, query)
      assert.equal(reply.status, 201)
      assert.equal(reply.header('location'), `/v2/${repository}/blobs/${blob.digest}`)
      assert.equal(reply.header('docker-content-digest'), blob.digest)
      const got = await registry.request('GET', reply.header('location'))
      assert.ok(got.body.equals(blob.bytes))
    })
  }

  const absent = makeBlob('not here yet')
  for (const [name, query] of [
    ['from a repository that does not have it', `${absent.digest}&from=blob/here`],
    ['from a repository that does not exist', `${blob.digest}&from=mount/none`],
    ['from anywhere, of what nobody has', absent.digest],
  ] as const) {
    test(`that cannot be done begins an upload: ${name}`, async () => {
      const repository = `mount/upload-${name.length}`
      const reply = await mount(repository, query)
      assert.equal(reply.status, 202)
      assert.equal(reply.header('range'), '0-0')
      const location = reply.header('location')
      const put = await registry.request('PUT', withDigest(location, absent.digest), {
        body: absent.bytes,
      })
      assert.equal(put.status, 201)
      const got = await registry.request('GET', `/v2/${repository}/blobs/${absent.digest}`)
      assert.ok(got.body.equals(absent.bytes))
      await registry.request('DELETE', `/v2/${repository}/blobs/${absent.digest}`)
    })
  }

  test('of what is no digest, or from what is no name, is refused', async () => {
    assertError(await mount('mount/x', 'sha256:1'), 400, 'DIGEST_INVALID')
    assertError(await mount('mount/x', `${blob.digest}&from=Upper`), 400, 'NAME_INVALID')
  })
})

describe('a deleted blob', () => {
  test('is gone at once, and may be pushed again', async () => {
    const gone = makeBlob('deleted')
    await registry.pushBlob('delete/blob', gone)
    const target = `/v2/delete/blob/blobs/${gone.digest}`
    const reply = await registry.request('DELETE', target)
    assert.equal(reply.status, 202)
    assert.equal(reply.body.length, 0)
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      assert.equal((await registry.request(method, target)).status, 404)
    }
    await registry.pushBlob('delete/blob', gone)
    assert.ok((await registry.request('GET', target)).body.equals(gone.bytes))
  })

  test('stays in other repositories', async () => {
    const shared = makeBlob('shared')
    await registry.pushBlob('delete/one', shared)
    await registry.pushBlob('delete/two', shared)
    const status = (repository: string) =>
      registry
        .request('HEAD', `/v2/${repository}/blobs/${shared.digest}`)
        .then((reply) => reply.status)
    await registry.request('DELETE', `/v2/delete/one/blobs/${shared.digest}`)
    assert.deepEqual([await status('delete/one'), await status('delete/two')], [404, 200])
  })

  test('is refused while a manifest of the repository needs it, by the manifest', async () => {
    const image = imageFixture({ layers: 2, layerBytes: 2000, seed: 7 })
    await registry.push('delete/needed', 'v1', image)
    for (const { digest } of image.blobs) {
      const target = `/v2/delete/needed/blobs/${digest}`
      const reply = await registry.request('DELETE', target)
      assertError(reply, 405, 'DENIED')
      assert.match(reply.body.toString(), new RegExp(image.root.digest))
      assert.equal((await registry.request('HEAD', target)).status, 200)
    }
    const root = `/v2/delete/needed/manifests/${image.root.digest}`
    assert.equal((await registry.request('DELETE', root)).status, 202)
    for (const { digest } of image.blobs) {
      const target = `/v2/delete/needed/blobs/${digest}`
      assert.equal((await registry.request('DELETE', target)).status, 202)
    }
  })

  test('does not hurt who is reading it', async () => {
    const read = makeBlob('being read', 20_000_000)
    await registry.pushBlob('delete/read', read)
    const target = `/v2/delete/read/blobs/${read.digest}`
    const reading = registry.request('GET', target)
    const deleted = await registry.request('DELETE', target)
    assert.equal(deleted.status, 202)
    assert.ok((await reading).body.equals(read.bytes))
  })
})

test('a repository with an upload only has no blobs, and none of its name is known', async () => {
  await startSession(registry, 'blob/session-only')
  const reply = await registry.request('GET', '/v2/blob/session-only/tags/list')
  assertError(reply, 404, 'NAME_UNKNOWN')
})
