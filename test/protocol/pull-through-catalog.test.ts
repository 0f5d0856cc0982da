/**
 * Cached repositories in this registry's own lists: under a name that every client can pull by, in
 * pages that come to an end, and shown by `trow ls`.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { pathOf, proxyConfig, startScene } from '../support/pull-through.ts'
import { pushTag } from '../support/push-steps.ts'
import { runCommand } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const image = imageFixture({ layers: 1, layerBytes: 1000 })

let upstream: FakeUpstream
let registry: Registry
/** As they are shown. */
let all: string[]

before(async () => {
  upstream = await FakeUpstream.start()
  // Hosts that sort differently with ":" than with "_", and around local names.
  const hosts = ['a:5000', 'a.b', 'a', 'a:50', 'a_b', 'a-b:1', upstream.host]
  const entries = hosts.map((host) => ({ host, insecure: true, endpoints: [upstream.host] }))
  registry = await startRegistry({ config: proxyConfig(entries) })
  for (const repository of ['e/local', 'f0', 'local', 'ff/x']) {
    await pushTag(registry, repository, 'v1')
  }
  upstream.content.addImage('app', image, 'v1').addImage('team/app', image, 'v1', 'v2')
  for (const host of hosts) {
    for (const repository of ['app', 'team/app']) {
      const reply = await registry.request('GET', `/v2/${repository}/manifests/v1?ns=${host}`)
      assert.equal(reply.status, 200, `${host}: ${reply.body.toString()}`)
    }
  }
  const cached = hosts.flatMap((host) => ['app', 'team/app'].map((name) => shown(host, name)))
  all = [...cached, 'e/local', 'f0', 'local', 'ff/x'].toSorted()
})
after(async () => {
  await registry[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

function shown(host: string, repository: string): string {
  return `f/${host.replace(':', '_')}/${repository}`
}

async function list(path: string): Promise<{ names: string[]; next: string | undefined }> {
  const reply = await registry.request('GET', path)
  assert.equal(reply.status, 200)
  const [, next] = /^<([^>]+)>/.exec(String(reply.headers['link'] ?? '')) ?? []
  return { names: (reply.json() as { repositories: string[] }).repositories, next }
}

describe('the catalog', () => {
  test('has what is cached, with the port in the spelling that every client can pull by', async () => {
    assert.deepEqual((await list('/v2/_catalog')).names, all)
    for (const name of all) {
      assert.match(name, /^[a-z0-9._/-]+$/)
      const manifest = await registry.request('GET', `/v2/${name}/manifests/v1`)
      assert.equal(manifest.status, 200, name)
      const tags = await registry.request('GET', `/v2/${name}/tags/list`)
      assert.equal((tags.json() as { name: string }).name, name)
    }
  })

  for (const n of [1, 2, 3, 7]) {
    test(`is whole and in order when its Links are followed, ${n} at a time`, async () => {
      const found: string[] = []
      for (let path: string | undefined = `/v2/_catalog?n=${n}`; path !== undefined;) {
        const page = await list(path)
        found.push(...page.names)
        path = page.next
      }
      assert.deepEqual(found, all)
    })
  }

  test('goes on after any text, as if that were a name in it', async () => {
    for (const last of [...all, 'f/', 'f/a_', 'f/a_5', 'f/a:5000/app', 'f/a_5000/app/', 'g']) {
      const { names } = await list(`/v2/_catalog?${new URLSearchParams({ last }).toString()}`)
      assert.deepEqual(
        names,
        all.filter((name) => name > last),
        last,
      )
    }
  })
})

describe('trow ls of a registry that caches others', () => {
  test('shows what is cached, and how many tags its upstream has of it', async () => {
    const { code, stdout, stderr } = await runCommand(['ls', registry.host])
    assert.equal(stderr, '')
    assert.equal(code, 0)
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ +/))
    assert.deepEqual(rows, [
      ['REPOSITORY', 'TAGS'],
      ...all.map((name) => [name, name.endsWith('team/app') ? '2' : '1']),
    ])
  })

  test('goes on where a repository has no tags here and its upstream is gone', async () => {
    await using scene = await startScene()
    scene.upstream.content.addImage('app', image, 'v1')
    await pushTag(scene.registry, 'local', 'v1')
    await scene.manifest(image.root.digest)
    await scene.upstream[Symbol.asyncDispose]()
    const name = pathOf(scene, 'app').replace(/^\/v2\/|_(?=\/)/g, '')
    const { code, stdout, stderr } = await runCommand(['ls', scene.registry.host])
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/ +/)),
      [
        ['REPOSITORY', 'TAGS'],
        [name, '-'],
        ['local', '1'],
      ],
    )
    assert.match(stderr, new RegExp(`^trow: ${name}: .*502.*${scene.host}`))
    assert.match(stderr, /1 repository could not be read/)
    assert.equal(code, 1)
  })

  test('and trow inspect take the names that it shows', async () => {
    const name = shown(upstream.host, 'team/app')
    const listed = await runCommand(['ls', '--quiet', `${registry.host}/${name}`])
    assert.equal(listed.stdout, 'v1\nv2\n')
    const inspected = await runCommand(['inspect', '--json', `${registry.host}/${name}:v1`])
    assert.equal((JSON.parse(inspected.stdout) as { digest: string }).digest, image.root.digest)
  })
})
