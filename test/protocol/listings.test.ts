/** Tags and repositories in pages: one stable order, `n`, `last` and the Link that leads to the end. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { assertError, makeManifest, pushConfig, pushTag } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry

/** In no order; the order that is expected is that of their bytes. */
const tags = ['v10', 'v2', 'V1', 'a.b', 'a-b', 'a_b', 'a', 'Z', '0', '_', 'latest', 'aa', 'B']
const sorted = ['0', 'B', 'V1', 'Z', '_', 'a', 'a-b', 'a.b', 'a_b', 'aa', 'latest', 'v10', 'v2']
const repositories = [
  'list/tags',
  'list',
  'list-a',
  'list/tags/below',
  'a0',
  'list.b',
  'list0',
  '0',
]
const sortedRepositories = [
  '0',
  'a0',
  'list',
  'list-a',
  'list.b',
  'list/tags',
  'list/tags/below',
  'list0',
]

before(async () => {
  registry = await startRegistry()
  for (const repository of repositories) await pushTag(registry, repository, 'v1')
  const manifest = makeManifest({ config: await pushConfig(registry, 'list/tags'), layers: [] })
  for (const tag of tags) await registry.pushManifest('list/tags', tag, manifest)
  await registry.request('DELETE', '/v2/list/tags/manifests/v1')
})
after(() => registry[Symbol.asyncDispose]())

interface List {
  readonly path: string
  readonly all: readonly string[]
  readonly entries: (reply: Reply) => string[]
}

const lists: Record<string, List> = {
  tags: {
    path: '/v2/list/tags/tags/list',
    all: sorted,
    entries: (reply) => (reply.json() as { tags: string[] }).tags,
  },
  repositories: {
    path: '/v2/_catalog',
    all: sortedRepositories,
    entries: (reply) => (reply.json() as { repositories: string[] }).repositories,
  },
}

/** The address of the next page, as RFC 8288 has it. */
function nextOf(reply: Reply): string | undefined {
  const link = reply.headers['link']
  if (link === undefined) return undefined
  const [, target] = /^<([^>]+)>; rel="next"$/.exec(String(link)) ?? []
  assert.ok(target, `the Link is ${String(link)}`)
  return new URL(target, new URL(registry.url)).href
}

async function get(path: string): Promise<Reply> {
  const reply = await registry.request('GET', path)
  assert.equal(reply.status, 200, reply.body.toString())
  assert.equal(reply.header('content-type'), 'application/json')
  return reply
}

for (const [name, { path, all, entries }] of Object.entries(lists)) {
  describe(`the list of ${name}`, () => {
    test('is whole and in the order of its bytes, capitals first', async () => {
      const reply = await get(path)
      assert.deepEqual(entries(reply), all)
      assert.equal(nextOf(reply), undefined)
    })

    for (const n of [1, 2, 3, 5, all.length - 1]) {
      test(`is complete when its Links are followed, ${n} at a time`, async () => {
        const found: string[] = []
        let next: string | undefined = `${path}?n=${n}`
        while (next !== undefined) {
          const reply: Reply = await get(next)
          const page = entries(reply)
          next = nextOf(reply)
          assert.ok(page.length === n || next === undefined)
          found.push(...page)
        }
        assert.deepEqual(found, all)
      })
    }

    for (const n of [all.length, all.length + 1, 10_000, 999_999_999]) {
      test(`is whole, without a Link, when as many are asked for: n=${n}`, async () => {
        const reply = await get(`${path}?n=${n}`)
        assert.deepEqual(entries(reply), all)
        assert.equal(nextOf(reply), undefined)
      })
    }

    test('is empty and has no Link for n=0', async () => {
      const reply = await get(`${path}?n=0`)
      assert.deepEqual(entries(reply), [])
      assert.equal(nextOf(reply), undefined)
    })

    test('goes on after the last one that a client knows', async () => {
      const reply = await get(`${path}?n=2&last=${encodeURIComponent(all[1] ?? '')}`)
      assert.deepEqual(entries(reply), all.slice(2, 4))
      const whole = await get(`${path}?last=${encodeURIComponent(all[1] ?? '')}`)
      assert.deepEqual(entries(whole), all.slice(2))
    })

    test('goes on after a last one that does not exist, or no longer', async () => {
      const last = all[3] ?? ''
      assert.deepEqual(entries(await get(`${path}?n=2&last=${last}0`)), expectedAfter(`${last}0`))
      assert.deepEqual(entries(await get(`${path}?last=~`)), [])
      assert.deepEqual(entries(await get(`${path}?n=1&last=!`)), all.slice(0, 1))
    })

    function expectedAfter(last: string): string[] {
      return all
        .filter((entry) => Buffer.compare(Buffer.from(entry), Buffer.from(last)) > 0)
        .slice(0, 2)
    }

    for (const n of ['-1', 'x', '1.5', '1e3', ' 1', '99999999999999999999']) {
      test(`is refused when n is no number: ${n}`, async () => {
        const reply = await registry.request('GET', `${path}?n=${encodeURIComponent(n)}`)
        assertError(reply, 400, 'PAGINATION_NUMBER_INVALID')
      })
    }
  })
}

describe('the tags of a repository', () => {
  test('are told with its name', async () => {
    const reply = await get('/v2/list-a/tags/list')
    assert.deepEqual(reply.json(), { name: 'list-a', tags: ['v1'] })
  })

  test('are none, which is no error, when it has manifests or blobs only', async () => {
    await pushConfig(registry, 'list/blobs-only')
    const reply = await get('/v2/list/blobs-only/tags/list')
    assert.deepEqual(reply.json(), { name: 'list/blobs-only', tags: [] })
  })

  test('of an unknown one are an error', async () => {
    const reply = await registry.request('GET', '/v2/list/unknown/tags/list')
    assertError(reply, 404, 'NAME_UNKNOWN')
  })

  test('change at once with each push and delete', async () => {
    const path = '/v2/list/changing/tags/list'
    const manifest = await pushTag(registry, 'list/changing', 'a')
    await registry.pushManifest('list/changing', 'b', manifest)
    assert.deepEqual((await get(path)).json(), { name: 'list/changing', tags: ['a', 'b'] })
    await registry.request('DELETE', '/v2/list/changing/manifests/a')
    assert.deepEqual((await get(path)).json(), { name: 'list/changing', tags: ['b'] })
    await registry.request('DELETE', `/v2/list/changing/manifests/${manifest.digest}`)
    assert.deepEqual((await get(path)).json(), { name: 'list/changing', tags: [] })
  })

  test('are paged by themselves when there are more than fit a page', async () => {
    const manifest = makeManifest({ config: await pushConfig(registry, 'list/many'), layers: [] })
    const names = Array.from({ length: 1_050 }, (_, index) => `t${String(index).padStart(4, '0')}`)
    for (let start = 0; start < names.length; start += 50) {
      const query = names.slice(start, start + 50).map((tag) => `tag=${tag}`)
      await registry.pushManifest('list/many', `${manifest.digest}?${query.join('&')}`, manifest)
    }
    const first = await get('/v2/list/many/tags/list')
    const { tags: page } = first.json() as { tags: string[] }
    assert.deepEqual(page, names.slice(0, 1_000))
    const { tags: rest } = (await get(nextOf(first) ?? '')).json() as { tags: string[] }
    assert.deepEqual(rest, names.slice(1_000))
    const { tags: all } = (await get('/v2/list/many/tags/list?n=2000')).json() as { tags: string[] }
    assert.deepEqual(all, names)
  })
})

test('a repository is listed as long as it holds a manifest', async () => {
  const catalog = async () =>
    ((await get('/v2/_catalog?n=100')).json() as { repositories: string[] }).repositories
  await pushConfig(registry, 'list/transient')
  assert.ok(!(await catalog()).includes('list/transient'))
  const { digest } = await pushTag(registry, 'list/transient', 'v1')
  assert.ok((await catalog()).includes('list/transient'))
  await registry.request('DELETE', `/v2/list/transient/manifests/${digest}`)
  assert.ok(!(await catalog()).includes('list/transient'))
})
