/**
 * Blobs pushed in each of the specification's ways, and what keeps a session alive, ends it, or never
 * lets it become a blob ("Pushing blobs").
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { sha256Digest } from '../support/image-fixture.ts'
import {
  assertError,
  type Blob,
  makeBlob,
  sha512Digest,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry[Symbol.asyncDispose]())

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += size) {
    yield Promise.resolve(bytes.subarray(start, start + size))
  }
}

function staged(): Promise<string[]> {
  return readdir(join(registry.dataDirectory, 'uploads'))
}

async function assertBlob(repository: string, { digest, bytes }: Blob): Promise<void> {
  const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
  assert.equal(got.status, 200)
  assert.ok(got.body.equals(bytes))
}

async function assertNoBlob(repository: string, digest: string): Promise<void> {
  const head = await registry.request('HEAD', `/v2/${repository}/blobs/${digest}`)
  assert.equal(head.status, 404)
}

describe('a session', () => {
  test('is started by POST, whose Location holds a UUID and whose range is empty', async () => {
    const reply = await registry.request('POST', '/v2/up/start/blobs/uploads/')
    assert.equal(reply.status, 202)
    const location = reply.header('location')
    assert.match(location, new RegExp(`^/v2/up/start/blobs/uploads/${uuid}$`))
    assert.equal(reply.header('docker-upload-uuid'), location.slice(location.lastIndexOf('/') + 1))
    assert.equal(reply.header('range'), '0-0')
    assert.equal(reply.header('content-length'), '0')
  })

  test('is started without the slash at the end too, as some clients do', async () => {
    const reply = await registry.request('POST', '/v2/up/start/blobs/uploads')
    assert.equal(reply.status, 202)
  })

  test('tells by GET how far it is, after each chunk', async () => {
    const location = await startSession(registry, 'up/status')
    for (const [chunk, range] of [
      ['hello', '0-4'],
      [' world', '0-10'],
    ] as const) {
      const patched = await registry.request('PATCH', location, { body: chunk })
      assert.equal(patched.status, 202)
      assert.equal(patched.header('location'), location)
      assert.equal(patched.header('range'), range)
      assert.equal(patched.header('docker-upload-uuid'), location.split('/').at(-1))
      const status = await registry.request('GET', location)
      assert.equal(status.status, 204)
      assert.equal(status.header('location'), location)
      assert.equal(status.header('range'), range)
      assert.equal(status.header('docker-upload-uuid'), location.split('/').at(-1))
      assert.equal(status.body.length, 0)
    }
  })

  test('is cancelled by DELETE: 204, then nobody knows it and its bytes are gone', async () => {
    const location = await startSession(registry, 'up/cancel')
    await registry.request('PATCH', location, { body: 'some bytes' })
    const before = await staged()
    assert.ok(before.includes(location.split('/').at(-1) ?? ''))
    assert.equal((await registry.request('DELETE', location)).status, 204)
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      assertError(await registry.request(method, location), 404, 'BLOB_UPLOAD_UNKNOWN')
    }
    const { digest } = makeBlob('cancelled')
    const put = await registry.request('PUT', withDigest(location, digest))
    assertError(put, 404, 'BLOB_UPLOAD_UNKNOWN')
    assert.ok(!(await staged()).includes(location.split('/').at(-1) ?? ''))
  })

  test('is over once it became a blob', async () => {
    const blob = makeBlob('once')
    const location = await startSession(registry, 'up/once')
    const target = withDigest(location, blob.digest)
    const first = await registry.request('PUT', target, { body: blob.bytes })
    assert.equal(first.status, 201)
    const second = await registry.request('PUT', target, { body: blob.bytes })
    assertError(second, 404, 'BLOB_UPLOAD_UNKNOWN')
    await assertBlob('up/once', blob)
  })

  test('is known in its own repository only', async () => {
    const location = await startSession(registry, 'up/mine')
    const foreign = location.replace('/up/mine/', '/up/other/')
    const digest = sha256Digest(Buffer.from('x'))
    for (const [method, path] of [
      ['GET', foreign],
      ['PATCH', foreign],
      ['PUT', withDigest(foreign, digest)],
      ['DELETE', foreign],
    ] as const) {
      assertError(await registry.request(method, path), 404, 'BLOB_UPLOAD_UNKNOWN')
    }
    assert.equal((await registry.request('GET', location)).status, 204)
  })
})

/** The ways of the specification, each from nothing to a blob. */
const ways: [name: string, push: (repository: string, blob: Blob) => Promise<string>][] = [
  [
    'POST, then all of it in the PUT',
    async (repository, { digest, bytes }) => {
      const location = await startSession(registry, repository)
      const put = await registry.request('PUT', withDigest(location, digest), {
        body: bytes,
        headers: { 'content-type': 'application/octet-stream' },
      })
      assert.equal(put.header('docker-content-digest'), digest)
      assert.equal(put.status, 201)
      return put.header('location')
    },
  ],
  [
    'POST, then all of it in the PUT without Content-Length',
    async (repository, { digest, bytes }) => {
      const location = await startSession(registry, repository)
      const body = chunksOf(bytes, 1000)
      const put = await registry.request('PUT', withDigest(location, digest), { body })
      assert.equal(put.status, 201)
      return put.header('location')
    },
  ],
  [
    'a single POST',
    async (repository, { digest, bytes }) => {
      const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`
      const post = await registry.request('POST', path, { body: bytes })
      assert.equal(post.status, 201)
      assert.equal(post.header('docker-content-digest'), digest)
      return post.header('location')
    },
  ],
  [
    'a single POST without Content-Length',
    async (repository, { digest, bytes }) => {
      const path = `/v2/${repository}/blobs/uploads/?digest=${digest}`
      const post = await registry.request('POST', path, { body: chunksOf(bytes, 1000) })
      assert.equal(post.status, 201)
      return post.header('location')
    },
  ],
  [
    'one PATCH without Content-Length and Content-Range, then PUT',
    async (repository, { digest, bytes }) => {
      const location = await startSession(registry, repository)
      const patch = await registry.request('PATCH', location, { body: chunksOf(bytes, 1000) })
      assert.equal(patch.status, 202)
      const put = await registry.request('PUT', withDigest(patch.header('location'), digest))
      assert.equal(put.status, 201)
      return put.header('location')
    },
  ],
  [
    'chunks with Content-Range, then PUT',
    async (repository, { digest, bytes }) => {
      const location = await patchAll(repository, bytes, (start, end) => `${start}-${end}`)
      const put = await registry.request('PUT', withDigest(location, digest))
      assert.equal(put.status, 201)
      return put.header('location')
    },
  ],
  [
    'chunks with the unit in their Content-Range, as RFC 9110 has it',
    async (repository, { digest, bytes }) => {
      const location = await patchAll(repository, bytes, (start, end) => `bytes ${start}-${end}/*`)
      const put = await registry.request('PUT', withDigest(location, digest))
      assert.equal(put.status, 201)
      return put.header('location')
    },
  ],
  [
    'an empty PATCH, then all of it in the PUT, as zb does',
    async (repository, { digest, bytes }) => {
      const location = await startSession(registry, repository)
      const patch = await registry.request('PATCH', location, { body: '' })
      assert.equal(patch.status, 202)
      assert.equal(patch.header('range'), '0-0')
      const put = await registry.request('PUT', withDigest(location, digest), { body: bytes })
      assert.equal(put.status, 201)
      return put.header('location')
    },
  ],
]

async function patchAll(
  repository: string,
  bytes: Buffer,
  range: (start: number, end: number) => string,
): Promise<string> {
  let location = await startSession(registry, repository)
  for (let start = 0; start < bytes.length; start += 700) {
    const body = bytes.subarray(start, start + 700)
    const end = start + body.length - 1
    const headers = { 'content-range': range(start, end) }
    const patch = await registry.request('PATCH', location, { body, headers })
    assert.equal(patch.status, 202)
    assert.equal(patch.header('range'), `0-${end}`)
    location = patch.header('location')
  }
  return location
}

describe('a blob is pushed by', () => {
  for (const [index, [name, push]] of ways.entries()) {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      test(`${name} (${algorithm})`, async () => {
        const repository = `up/way-${index}-${algorithm}`
        const { bytes, digest: sha256 } = makeBlob(`${name} ${algorithm}`, 3210)
        const blob = { bytes, digest: algorithm === 'sha256' ? sha256 : sha512Digest(bytes) }
        const location = await push(repository, blob)
        assert.equal(location, `/v2/${repository}/blobs/${blob.digest}`)
        const got = await registry.request('GET', location)
        assert.ok(got.body.equals(bytes))
        assert.equal(got.header('docker-content-digest'), blob.digest)
      })
    }

    test(`${name}, even if it is empty`, async () => {
      const repository = `up/empty-${index}`
      const bytes = Buffer.alloc(0)
      const location = await push(repository, { bytes, digest: sha256Digest(bytes) })
      const got = await registry.request('GET', location)
      assert.deepEqual([got.status, got.body.length], [200, 0])
      assert.equal(got.header('content-length'), '0')
    })

    test(`${name}, and refused with another digest: nothing is visible, nothing is left`, async () => {
      const repository = `up/wrong-${index}`
      const { digest } = makeBlob(`wrong ${index}`, 3210)
      const { bytes } = makeBlob(`right ${index}`, 3210)
      const known = new Set(await staged())
      // The steps before the last one succeed; the last one's status is what they fail at.
      await assert.rejects(push(repository, { digest, bytes }), /400|docker-content-digest/)
      await assertNoBlob(repository, digest)
      await assertNoBlob(repository, sha256Digest(bytes))
      assert.deepEqual(
        (await staged()).filter((name) => !known.has(name)),
        [],
      )
    })
  }

  test('chunks, the last one of them in the PUT', async () => {
    const { bytes, digest } = makeBlob('last in PUT', 2000)
    const location = await startSession(registry, 'up/last')
    const first = { body: bytes.subarray(0, 900), headers: { 'content-range': '0-899' } }
    assert.equal((await registry.request('PATCH', location, first)).status, 202)
    const last = { body: bytes.subarray(900), headers: { 'content-range': '900-1999' } }
    const put = await registry.request('PUT', withDigest(location, digest), last)
    assert.equal(put.status, 201)
    await assertBlob('up/last', { bytes, digest })
  })

  test('digest-algorithm=sha512 on POST, and the digest of that algorithm at the end', async () => {
    const { bytes } = makeBlob('announced', 2000)
    const digest = sha512Digest(bytes)
    const location = await startSession(registry, 'up/announced', '?digest-algorithm=sha512')
    await registry.request('PATCH', location, { body: bytes })
    const put = await registry.request('PUT', withDigest(location, digest))
    assert.equal(put.status, 201)
    await assertBlob('up/announced', { bytes, digest })
  })

  test('a digest of another algorithm than the announced one', async () => {
    const blob = makeBlob('changed his mind', 2000)
    const location = await startSession(registry, 'up/changed', '?digest-algorithm=sha512')
    await registry.request('PATCH', location, { body: blob.bytes })
    const put = await registry.request('PUT', withDigest(location, blob.digest))
    assert.equal(put.status, 201)
    await assertBlob('up/changed', blob)
  })

  test('somebody who pushes it again: the same blob stays readable all the time', async () => {
    const blob = makeBlob('again', 5000)
    await registry.pushBlob('up/again', blob)
    await registry.pushBlob('up/again', blob)
    await assertBlob('up/again', blob)
  })

  test('two at the same time: both succeed, the blob is there once', async () => {
    const blob = makeBlob('at once', 200_000)
    const pushes = Array.from({ length: 8 }, () => registry.pushBlob('up/at-once', blob))
    await Promise.all(pushes)
    await assertBlob('up/at-once', blob)
  })
})

describe('a digest that cannot be verified', () => {
  const digests: [name: string, digest: string][] = [
    ['too short', 'sha256:abc'],
    ['in capitals', `sha256:${'A'.repeat(64)}`],
    ['of an algorithm that is not supported', `md5:${'0'.repeat(32)}`],
    ['without an algorithm', '0'.repeat(64)],
    ['empty', ''],
  ]
  for (const [name, digest] of digests) {
    test(`is refused at the PUT and the session goes on: ${name}`, async () => {
      const blob = makeBlob(`bad digest ${name}`)
      const location = await startSession(registry, 'up/bad')
      await registry.request('PATCH', location, { body: blob.bytes })
      assertError(
        await registry.request('PUT', withDigest(location, digest)),
        400,
        'DIGEST_INVALID',
      )
      const put = await registry.request('PUT', withDigest(location, blob.digest))
      assert.equal(put.status, 201)
      await assertBlob('up/bad', blob)
    })

    test(`is refused at a single POST: ${name}`, async () => {
      const path = `/v2/up/bad-post/blobs/uploads/?digest=${digest}`
      assertError(await registry.request('POST', path, { body: 'x' }), 400, 'DIGEST_INVALID')
    })
  }

  test('is refused when there is none', async () => {
    const location = await startSession(registry, 'up/none')
    assertError(await registry.request('PUT', location, { body: 'x' }), 400, 'DIGEST_INVALID')
    assert.equal((await registry.request('GET', location)).status, 204)
  })

  test('is refused by its algorithm when the session starts', async () => {
    const path = '/v2/up/start/blobs/uploads/?digest-algorithm=md5'
    const reply = await registry.request('POST', path)
    assertError(reply, 400, 'DIGEST_INVALID')
    assert.match(reply.body.toString(), /use sha256 or sha512/)
  })

  test('that is of other bytes is told with both, and ends the session', async () => {
    const blob = makeBlob('told')
    const other = makeBlob('other')
    const location = await startSession(registry, 'up/told')
    const put = await registry.request('PUT', withDigest(location, other.digest), {
      body: blob.bytes,
    })
    assertError(put, 400, 'DIGEST_INVALID')
    const { errors } = put.json() as { errors: { detail: object }[] }
    assert.deepEqual(errors[0]?.detail, {
      expected: other.digest,
      actual: blob.digest,
      size: blob.bytes.length,
    })
    assert.equal((await registry.request('GET', location)).status, 404)
  })
})
