// Real clients pull a real image out of real registries through this one, which they name in the path
// or are told to use as a mirror: cold, warm, and when the other registry is gone.

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
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
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { runTrow } from '../support/run-command.ts'
import { requireClient } from './client-table.ts'
import {
  isUpstreamHere,
  pullThreeTimes,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  type UpstreamContent,
  type UpstreamKind,
  upstreamKinds,
  type UpstreamScene,
} from './upstream-scene.ts'

/** Clients at work at the same time. */
const concurrency = 2

const kinds = Object.keys(upstreamKinds) as UpstreamKind[]

for (const kind of kinds) {
  describe(`pulling through from ${upstreamKinds[kind]}`, () => {
    let layout: ImageLayout
    let content: UpstreamContent
    before(async () => {
      if (!isUpstreamHere(kind)) return
      layout = await realImageLayout()
      content = await pushToUpstream(layout, kind)
    })
    after(() => content?.[Symbol.asyncDispose]())
    // Both forms that a registry has in a path: a name, and a host with a port.
    const options = kind === 'open' ? { name: 'docker.io' } : {}

    describe('as a path', { concurrency }, () => {
      for (const name of ['skopeo', 'podman', 'crane', 'oras', 'regctl'] as const) {
        test(`${name} pulls cold, warm, and with the upstream gone`, async (t) => {
          if (!requireUpstream(t, kind) || !requireClient(t, name)) return
          await using scene = await content.open(options)
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
    if (kind !== 'password') return
    describe('as a mirror', { concurrency }, () => {
      for (const name of ['skopeo', 'podman'] as const) {
        test(`${name} with a registries.conf, as CRI-O has it`, async (t) => {
          if (!requireUpstream(t, kind) || !requireClient(t, name)) return
          await using scene = await content.open({ name: 'docker.io' })
          const client = await scene.client()
          const config = await writeMirror(scene, client)
          const image = `docker://docker.io/${repository}:${tag}`
          await pullThreeTimes(scene, layout, () => mirrored[name](image, client, config))
        })
      }
    })
  })
}

/** The file that `trow node-config` writes for them. */
async function writeMirror({ name }: UpstreamScene, client: Registry): Promise<string> {
  const root = join(client.directory, 'node')
  const mirror = ['--mirror', `http://${client.registry}`, '--registry', name]
  const args = ['node-config', 'install', '--runtime', 'crio', '--root', root, ...mirror]
  const { code, stderr } = await runTrow(args)
  assert.equal(code, 0, stderr)
  return join(root, 'etc/containers/registries.conf.d/trow.conf')
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
