/**
 * Names of other registries, as containerd's mirrors (`?ns=`) and Trow's own form (`f/<host>/...`)
 * send them: never the local repository of the same name. The registry's own names mean its own
 * repositories.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sha256Digest } from '../support/image-fixture.ts'
import { assertError, makeBlob, pushTag } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
const blob = makeBlob('local')

before(async () => {
  registry = await startRegistry({
    flags: ['--hostname', 'trow.example', '--hostname', 'Other.Example:5000'],
    // What is not cached does not exist then, and nobody is asked for it.
    config: 'registry_proxies: { offline: true }',
  })
  await pushTag(registry, 'library/nginx', 'latest')
  await registry.pushBlob('library/nginx', blob)
})
after(() => registry[Symbol.asyncDispose]())

const reads: [method: string, path: string][] = [
  ['GET', 'manifests/latest'],
  ['HEAD', 'manifests/latest'],
  ['GET', `blobs/${blob.digest}`],
  ['HEAD', `blobs/${blob.digest}`],
  ['GET', 'tags/list'],
]

const writes: [method: string, path: string][] = [
  ['PUT', 'manifests/latest'],
  ['DELETE', 'manifests/latest'],
  ['DELETE', `blobs/${blob.digest}`],
  ['POST', 'blobs/uploads/'],
  ['POST', `blobs/uploads/?digest=${sha256Digest(Buffer.alloc(0))}`],
  ['POST', `blobs/uploads/?mount=${blob.digest}&from=library/nginx`],
  ['PATCH', 'blobs/uploads/1'],
]

function withNamespace(path: string, namespace: string): string {
  return `${path}${path.includes('?') ? '&' : '?'}ns=${encodeURIComponent(namespace)}`
}

const foreign: [name: string, url: (path: string) => string][] = [
  ['ns=docker.io', (path) => withNamespace(`/v2/library/nginx/${path}`, 'docker.io')],
  [
    'ns of another port',
    (path) => withNamespace(`/v2/library/nginx/${path}`, 'other.example:5001'),
  ],
  [
    'ns that ends like a name of ours',
    (path) => withNamespace(`/v2/library/nginx/${path}`, 'evil-trow.example'),
  ],
  ['f/docker.io/library/nginx', (path) => `/v2/f/docker.io/library/nginx/${path}`],
]

for (const [name, url] of foreign) {
  describe(`a repository of another registry (${name})`, () => {
    for (const [method, path] of reads) {
      test(`is not found: ${method} ${path}`, async () => {
        const reply = await registry.request(method, url(path))
        assert.equal(reply.status, 404)
        if (method === 'GET') assert.match(reply.body.toString(), /registry_proxies.offline is set/)
      })
    }
    for (const [method, path] of writes) {
      test(`cannot be changed: ${method} ${path}`, async () => {
        const reply = await registry.request(method, url(path))
        assertError(reply, 405, 'UNSUPPORTED')
      })
    }
  })
}

test('a write to another registry has changed nothing here', async () => {
  const reply = await registry.request('GET', '/v2/library/nginx/tags/list')
  assert.deepEqual(reply.json(), { name: 'library/nginx', tags: ['latest'] })
  const head = await registry.request('HEAD', `/v2/library/nginx/blobs/${blob.digest}`)
  assert.equal(head.status, 200)
})

describe('a name of this registry means its own repositories:', () => {
  const own: [name: string, namespace: () => string][] = [
    ['a configured name', () => 'trow.example'],
    ['a configured name with a port', () => 'trow.example:30000'],
    ['a configured name with its port', () => 'other.example:5000'],
    ['a configured name without its port', () => 'other.example'],
    ['a configured name in capitals', () => 'TROW.example'],
    ['the Host of the request', () => registry.host],
    ['the Host of the request without its port', () => '127.0.0.1'],
  ]
  for (const [name, namespace] of own) {
    test(name, async () => {
      for (const [method, path] of reads) {
        const target = withNamespace(`/v2/library/nginx/${path}`, namespace())
        assert.equal((await registry.request(method, target)).status, 200)
      }
      const session = withNamespace('/v2/library/nginx/blobs/uploads/', namespace())
      assert.equal((await registry.request('POST', session)).status, 202)
    })
  }

  test('a Host that no configuration knows', async () => {
    const target = withNamespace('/v2/library/nginx/manifests/latest', 'unlisted.example:1234')
    const headers = { host: 'unlisted.example:1234' }
    assert.equal((await registry.request('GET', target, { headers })).status, 200)
    assert.equal((await registry.request('GET', target)).status, 404)
  })
})
