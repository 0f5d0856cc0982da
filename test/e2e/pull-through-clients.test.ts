// Real clients pull a real image out of a real registry through this one, which they name in the path
// or are told to use as a mirror: cold, warm, and when the other registry is gone.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  clients,
  freshDirectory,
  parseDigest,
  runClient,
  storageFlags,
  type Registry,
} from '../support/clients.ts'
import { ctrPull, startContainerd } from '../support/containerd.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { requireClient } from './client-table.ts'
import {
  isUpstreamHere,
  pullThreeTimes,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  type UpstreamContent,
  type UpstreamScene,
} from './upstream-scene.ts'

/** Clients at work at the same time. */
const concurrency = 2

const upstreams = [
  { name: 'over HTTP, anonymous', isSecure: false },
  { name: 'over HTTPS, with user and password', isSecure: true },
]

for (const { name: upstreamName, isSecure } of upstreams) {
  describe(`pulling through from a docker-registry ${upstreamName}`, () => {
    let layout: ImageLayout
    let content: UpstreamContent
    before(async () => {
      if (!isUpstreamHere()) return
      layout = await realImageLayout()
      content = await pushToUpstream(layout)
    })
    after(() => content?.[Symbol.asyncDispose]())

    describe('as a path', { concurrency }, () => {
      for (const name of ['skopeo', 'podman', 'crane', 'oras', 'regctl'] as const) {
        test(`${name} pulls cold, warm, and with the upstream gone`, async (t) => {
          if (!requireUpstream(t) || !requireClient(t, name)) return
          await using scene = await content.open(isSecure)
          await pullThreeTimes(scene, layout, async () => {
            const target = await scene.target()
            const digest = await clients[name].pull(target)
            await rm(target.directory, { recursive: true, force: true })
            return digest
          })
        })
      }
    })

    // Once is enough, with the upstream that these clients cannot reach without the mirror.
    if (!isSecure) return
    describe('as a mirror', { concurrency }, () => {
      for (const name of ['skopeo', 'podman'] as const) {
        test(`${name} with a registries.conf, as CRI-O has it`, async (t) => {
          if (!requireUpstream(t) || !requireClient(t, name)) return
          await using scene = await content.open(isSecure)
          const client = await scene.client()
          const config = await writeMirror(scene, client)
          const image = `docker://${scene.upstream.host}/${repository}:${tag}`
          await pullThreeTimes(scene, layout, () => mirrored[name](image, client, config))
        })
      }

      test('containerd with _default/hosts.toml and ?ns=', async (t) => {
        if (!requireUpstream(t) || !requireClient(t, 'ctr')) return
        await using scene = await content.open(isSecure)
        const hosts = await writeHosts(scene, await scene.client())
        await using resources = new AsyncDisposableStack()
        // Not below the scene's directory: the path of a socket has 107 characters at most.
        const directory = await mkdtemp(join(tmpdir(), 'trow-containerd-'))
        resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
        const containerd = resources.use(await startContainerd(directory))
        const image = `${scene.upstream.host}/${repository}:${tag}`
        const flags = ['--local', '--all-platforms', '--hosts-dir', hosts]
        await pullThreeTimes(scene, layout, async () =>
          ctrPull(containerd, image, flags, await scene.client()),
        )
      })
    })
  })
}

/** As in docs/pull-through.md. */
async function writeMirror({ upstream }: UpstreamScene, client: Registry): Promise<string> {
  const path = join(client.directory, 'registries.conf')
  const mirror = `${client.registry}/f/${upstream.hostInPath}`
  await writeFile(
    path,
    `[[registry]]
location = "${upstream.host}"

[[registry.mirror]]
location = "${mirror}"
insecure = true
`,
  )
  return path
}

/** As in docs/pull-through.md. */
async function writeHosts({ registry }: UpstreamScene, client: Registry): Promise<string> {
  const directory = join(client.directory, 'certs.d')
  await mkdir(join(directory, '_default'), { recursive: true })
  await writeFile(
    join(directory, '_default', 'hosts.toml'),
    `[host."${registry.url}"]
  capabilities = ["pull", "resolve"]
`,
  )
  return directory
}

type Mirrored = (image: string, client: Registry, config: string) => Promise<string>

/** The clients' pulls with a configuration of the test's own. */
const mirrored: Record<'skopeo' | 'podman', Mirrored> = {
  async skopeo(image, client, config) {
    const pulled = await freshDirectory(client, 'pulled')
    const digestFile = join(pulled, 'digest')
    const copy = ['copy', '--all', '--preserve-digests', '--digestfile', digestFile]
    const destination = `oci:${join(pulled, 'layout')}:${tag}`
    await runClient('skopeo', ['--registries-conf', config, ...copy, image, destination], client)
    return (await readFile(digestFile, 'utf8')).trim()
  },
  async podman(image, client, config) {
    const storage = await mkdtemp(join(tmpdir(), 'podman-'))
    try {
      const flags = storageFlags('podman', storage)
      const environment = { CONTAINERS_REGISTRIES_CONF: config }
      await runClient('podman', [...flags, 'pull', image], client, environment)
      return parseDigest(await runClient('podman', [...flags, 'images', '--digests'], client))
    } finally {
      await rm(storage, { recursive: true, force: true })
    }
  },
}
