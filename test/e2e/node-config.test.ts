// Nodes that `trow node-config` configures while their containerd runs, as a kubelet's: they pull through
// this registry, from the registry itself when this one is gone, and are as before in the end.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startContainerd } from '../support/containerd.ts'
import type { ContainerdEdition, ContainerdOptions } from '../support/containerd-config.ts'
import { criPull } from '../support/cri.ts'
import { takeSnapshot } from '../support/directory-snapshot.ts'
import { FakeProxy } from '../support/fake-proxy.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { type CommandResult, runTrow } from '../support/run-command.ts'
import { startTlsFront } from '../support/tls-front.ts'
import { requireNode } from './containerd-node.ts'
import {
  isUpstreamHere,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  transfers,
  type UpstreamContent,
  type UpstreamScene,
} from './upstream-scene.ts'

/** Nodes at work at the same time. */
const concurrency = 2

/** Where containerd looks for `hosts.toml` files, and what runs on the node. */
interface Node extends AsyncDisposable {
  readonly hosts: string
  /** `trow node-config` on it. */
  run(
    command: 'install' | 'status' | 'uninstall',
    flags?: readonly string[],
  ): Promise<CommandResult>
  /** Pulls as a kubelet whose node has nothing yet. */
  pull(image: string): Promise<string>
}

interface NodeOptions extends Pick<ContainerdOptions, 'trusted' | 'proxy'> {
  readonly edition: ContainerdEdition
  /** Directories in `config_path`, after the first one. */
  readonly more?: string
}

async function startNode({ edition, more = '', ...world }: NodeOptions): Promise<Node> {
  await using resources = new AsyncDisposableStack()
  // Not below the scene's directory: the path of a socket has 107 characters at most.
  const directory = await mkdtemp(join(tmpdir(), 'trow-node-'))
  resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  const hosts = join(directory, 'certs.d')
  let count = 0
  let config = ''
  const start = async () => {
    const place = join(directory, String(++count))
    await mkdir(place)
    config = join(place, 'containerd.toml')
    return await startContainerd(place, { edition, cri: { hosts: `${hosts}${more}` }, ...world })
  }
  let running = resources.use(await start())
  let isFresh = true
  const opened = resources.move()
  return {
    hosts,
    run: (command, flags = []) => {
      const place = ['--runtime', 'containerd', '--containerd-config', config]
      return runTrow(['node-config', command, ...place, ...flags])
    },
    async pull(image) {
      // Only another containerd, with the same hosts, fetches everything again.
      if (!isFresh) running = opened.use(await start())
      isFresh = false
      return await criPull(running.address, image)
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** As images have them, and where their registry is in truth. */
const publicNames = [
  { name: 'docker.io', host: 'registry-1.docker.io' },
  { name: 'registry.example.com', host: 'registry.example.com' },
]

/** What a node has of the world: a proxy, behind which the upstream has a public name and its certificate. */
interface World extends AsyncDisposable {
  readonly proxy: string
  readonly trusted: string
  /** What went by the proxy. */
  asked(): readonly string[]
}

async function openWorld(name: string, scene: UpstreamScene): Promise<World> {
  await using resources = new AsyncDisposableStack()
  const front = resources.use(await startTlsFront([name], scene.upstream.host))
  const proxy = resources.use(await FakeProxy.start({ hosts: { [`${name}:443`]: front.host } }))
  const trusted = join((await scene.client()).directory, 'world.pem')
  await writeFile(trusted, front.ca)
  const opened = resources.move()
  return {
    proxy: proxy.host,
    trusted,
    asked: () => proxy.log,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** Requests for images that came to Trow. */
function countServed({ registry }: UpstreamScene): number {
  const routes: readonly unknown[] = ['manifest', 'blob']
  return registry.logs().filter(({ route }) => routes.includes(route)).length
}

describe('a node that trow node-config configures', { concurrency }, () => {
  let layout: ImageLayout
  let content: UpstreamContent
  before(async () => {
    if (!isUpstreamHere('open')) return
    layout = await realImageLayout()
    content = await pushToUpstream(layout, 'open')
  })
  after(() => content?.[Symbol.asyncDispose]())

  for (const edition of ['current', 'debian'] as const) {
    for (const { name, host } of publicNames) {
      test(`${edition} containerd: pulls of ${name} through Trow, without it, and is restored`, async (t) => {
        if (!requireUpstream(t, 'open') || !requireNode(t, edition)) return
        await using scene = await content.open({ isSecure: true, name })
        await using world = await openWorld(host, scene)
        await using node = await startNode({ edition, ...world })
        // Somebody has configured a registry, and something for all of them.
        const theirs = '# Theirs.\n[host."http://127.0.0.1:9"]\ncapabilities = ["pull"]\n'
        for (const directory of ['_default', 'registry.invalid']) {
          await mkdir(join(node.hosts, directory), { recursive: true })
          await writeFile(join(node.hosts, directory, 'hosts.toml'), theirs)
        }
        const before = await takeSnapshot(node.hosts)
        const image = `${name}/${repository}:${tag}`
        const { tls } = await scene.client()
        const mirror = ['--mirror', `https://${scene.registry.host}`, '--ca', tls?.ca ?? '']

        assert.equal((await node.run('status', mirror)).code, 1)
        const installed = await node.run('install', mirror)
        assert.equal(installed.code, 0, installed.stdout + installed.stderr)
        assert.equal((await node.run('status', mirror)).code, 0)
        assert.equal(await node.pull(image), layout.digest)
        assert.ok(countServed(scene) > 5)
        assert.deepEqual(world.asked(), [], 'only Trow was asked')

        await scene.registry.stop()
        await scene.upstream.takeRequests()
        assert.equal(await node.pull(image), layout.digest, 'without Trow')
        assert.ok(transfers(await scene.upstream.takeRequests()).length > 0)
        assert.ok(world.asked().includes(`CONNECT ${host}:443`))

        assert.equal((await node.run('uninstall')).code, 0)
        assert.deepEqual(await takeSnapshot(node.hosts), before)
      })
    }
  }

  // containerd 2.1 and newer take the list for the name of one directory (containerd issue 12808).
  for (const [edition, isRead] of [
    ['current', false],
    ['debian', true],
  ] as const) {
    const what = isRead ? 'reads' : 'does not read'
    test(`${edition} containerd ${what} a list of directories, and we know that`, async (t) => {
      if (!requireUpstream(t, 'open') || !requireNode(t, edition)) return
      await using scene = await content.open()
      await using node = await startNode({ edition, more: ':/etc/docker/certs.d' })
      const { code, stdout } = await node.run('install', [
        '--mirror',
        `http://${scene.registry.host}`,
      ])
      assert.equal(code, isRead ? 0 : 3)
      assert.equal(/problem: .*take for the name of one directory/.test(stdout), !isRead)
      assert.equal(await node.pull(`${scene.name}/${repository}:${tag}`), layout.digest)
      assert.equal(countServed(scene) > 0, isRead)
    })
  }
})
