/**
 * The requests of two clients that cannot be had everywhere, one after the other as they send them:
 * docker-ls, which lists repositories, tags and what they are, and zot's `zb`, which pushes, pulls and
 * cleans up after itself.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { type Content, imageFixture } from '../support/image-fixture.ts'
import { makeBlob, makeManifest, ociManifest, pushTag, withDigest } from '../support/push-steps.ts'
import { basicHeader, type Registry, startRegistry } from '../support/start-registry.ts'

const user = { name: 'myuser', password: 'mypass' }

describe('docker-ls', () => {
  let registry: Registry
  before(async () => {
    registry = await startRegistry({ user })
    for (const repository of ['alpine', 'library/nginx', 'zebra']) {
      for (const tag of ['3.19', 'latest']) await pushTag(registry, repository, tag)
    }
  })
  after(() => registry[Symbol.asyncDispose]())

  /** As its parser does: the first header line only, and exactly this form. */
  function parseChallenge(reply: Reply): { realm: string; query: string } {
    const index = reply.rawHeaders.findIndex((name) => name.toLowerCase() === 'www-authenticate')
    const form = /^bearer realm="([^"]+)",service="([^"]+)"(?:,scope="([^"]+)")?$/i
    const match = form.exec(reply.rawHeaders[index + 1] ?? '')
    assert.ok(match, reply.rawHeaders[index + 1] ?? '')
    const [, realm = '', service = '', scope = ''] = match
    const query = new URLSearchParams({ service, ...(scope !== '' && { scope }) })
    return { realm, query: query.toString() }
  }

  /** Asks, is refused, gets a token with its login, and asks again. */
  async function authorized(path: string, accept: string): Promise<Reply> {
    const headers = { accept, 'user-agent': 'docker-ls/0.5' }
    const refused = await registry.request('GET', path, { anonymous: true, headers })
    assert.equal(refused.status, 401)
    const { realm, query } = parseChallenge(refused)
    const issued = await registry.request('GET', `${realm}?${query}`, {
      headers: { authorization: basicHeader(user) },
    })
    assert.equal(issued.status, 200)
    const { token } = issued.json() as { token: string }
    const reply = await registry.request('GET', path, {
      headers: { ...headers, authorization: `Bearer ${token}` },
    })
    assert.equal(reply.status, 200, reply.body.toString())
    return reply
  }

  /** Follows the Link as it does: the address between the brackets, relative to the registry. */
  async function pages(first: string): Promise<unknown[]> {
    const found: unknown[] = []
    let path: string | undefined = first
    while (path !== undefined) {
      const reply: Reply = await authorized(path, 'application/json')
      found.push(reply.json())
      const [, next] = /^<(.*)>; *rel="next"$/.exec(String(reply.headers['link'])) ?? []
      path = next
    }
    return found
  }

  test('lists repositories, page by page', async () => {
    assert.deepEqual(await pages('/v2/_catalog?n=2'), [
      { repositories: ['alpine', 'library/nginx'] },
      { repositories: ['zebra'] },
    ])
  })

  test('lists the tags of a repository, page by page', async () => {
    assert.deepEqual(await pages('/v2/library/nginx/tags/list?n=1'), [
      { name: 'library/nginx', tags: ['3.19'] },
      { name: 'library/nginx', tags: ['latest'] },
    ])
  })

  test('looks a tag up, whatever types it prefers, and deletes it by digest', async () => {
    const accept = 'application/vnd.docker.distribution.manifest.v2+json'
    const found = await authorized('/v2/alpine/manifests/latest', accept)
    assert.equal(found.header('content-type'), ociManifest)
    const digest = found.header('docker-content-digest')
    const deleted = await registry.request('DELETE', `/v2/alpine/manifests/${digest}`)
    assert.equal(deleted.status, 202)
    assert.deepEqual(await pages('/v2/alpine/tags/list'), [{ name: 'alpine', tags: ['3.19'] }])
  })
})

describe("zot's zb", () => {
  let registry: Registry
  before(async () => {
    registry = await startRegistry()
  })
  after(() => registry[Symbol.asyncDispose]())

  const octets = { 'content-type': 'application/octet-stream' }

  /** POST, an empty PATCH, then all of it in the PUT. */
  async function pushBlob(
    repository: string,
    { bytes, digest }: Pick<Content, 'bytes' | 'digest'>,
  ) {
    const post = await registry.request('POST', `/v2/${repository}/blobs/uploads/`)
    assert.equal(post.status, 202)
    const location = post.header('location')
    const patch = await registry.request('PATCH', location, { headers: octets })
    assert.ok(patch.status === 202, String(patch.status))
    const put = await registry.request('PUT', withDigest(location, digest), {
      headers: { ...octets, 'content-length': String(bytes.length) },
      body: bytes,
    })
    assert.equal(put.status, 201)
  }

  async function pushBlobInChunks(
    repository: string,
    { bytes, digest }: Pick<Content, 'bytes' | 'digest'>,
  ) {
    const post = await registry.request('POST', `/v2/${repository}/blobs/uploads/`)
    const location = post.header('location')
    for (let start = 0; start < bytes.length; start += 1 << 20) {
      const body = bytes.subarray(start, start + (1 << 20))
      const range = `${start}-${start + body.length - 1}`
      const headers = { ...octets, 'content-range': range }
      const patch = await registry.request('PATCH', location, { headers, body })
      assert.equal(patch.status, 202)
    }
    const put = await registry.request('PUT', withDigest(location, digest))
    assert.equal(put.status, 201)
  }

  /** What it does to each repository that it made. */
  async function cleanUp(repository: string, blobs: readonly string[]): Promise<void> {
    const list = await registry.request('GET', `/v2/${repository}/tags/list`)
    assert.equal(list.status, 200)
    for (const tag of (list.json() as { tags: string[] }).tags) {
      const manifest = await registry.request('GET', `/v2/${repository}/manifests/${tag}`)
      if (manifest.status === 404) continue
      const digest = manifest.header('docker-content-digest')
      const deleted = await registry.request('DELETE', `/v2/${repository}/manifests/${digest}`)
      assert.equal(deleted.status, 202)
    }
    for (const digest of blobs) {
      const deleted = await registry.request('DELETE', `/v2/${repository}/blobs/${digest}`)
      assert.equal(deleted.status, 202)
    }
  }

  for (const [name, push] of [
    ['monolith', pushBlob],
    ['chunked', pushBlobInChunks],
  ] as const) {
    test(`pushes and pulls (${name}), several repositories at once, and leaves nothing`, async () => {
      const work = Array.from({ length: 6 }, async (_, index) => {
        const repository = `zb-${name}-${index}`
        const layer = makeBlob(`${repository} layer`, 3_000_000)
        const config = makeBlob(`${repository} config`, 500)
        await push(repository, config)
        await push(repository, layer)
        const manifest = makeManifest({
          config: {
            mediaType: 'application/vnd.oci.image.config.v1+json',
            digest: config.digest,
            size: 500,
          },
          layers: [
            {
              mediaType: 'application/vnd.oci.image.layer.v1.tar',
              digest: layer.digest,
              size: layer.bytes.length,
            },
          ],
        })
        await registry.pushManifest(repository, `tag-${index}`, manifest)

        for (const method of ['HEAD', 'GET']) {
          const found = await registry.request(method, `/v2/${repository}/manifests/tag-${index}`)
          assert.equal(found.status, 200)
          assert.equal(found.header('docker-content-digest'), manifest.digest)
          for (const { digest, bytes } of [config, layer]) {
            const blob = await registry.request(method, `/v2/${repository}/blobs/${digest}`)
            assert.equal(blob.status, 200)
            assert.equal(blob.header('content-length'), String(bytes.length))
            if (method === 'GET') assert.ok(blob.body.equals(bytes))
          }
        }
        await cleanUp(repository, [layer.digest, config.digest])
        const list = await registry.request('GET', `/v2/${repository}/tags/list`)
        assert.deepEqual(list.json(), { name: repository, tags: [] })
      })
      await Promise.all(work)
      const catalog = await registry.request('GET', '/v2/_catalog')
      assert.deepEqual(catalog.json(), { repositories: [] })
      assert.deepEqual(await readdir(join(registry.dataDirectory, 'uploads')), [])
    })
  }

  test('lists the catalog of many repositories', async () => {
    const image = imageFixture({ layers: 1, layerBytes: 1000 })
    const names = Array.from(
      { length: 12 },
      (_, index) => `zb-catalog-${String(index).padStart(2, '0')}`,
    )
    await Promise.all(names.map((repository) => registry.push(repository, 'v1', image)))
    const catalog = await registry.request('GET', '/v2/_catalog')
    assert.deepEqual(catalog.json(), { repositories: names })
  })
})
