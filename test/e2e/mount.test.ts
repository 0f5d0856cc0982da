// Copying an image within a registry: clients mount its layers into the other repository and send
// none of their bytes, also where they need a token for both repositories to do so.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connectionFlags, imageName, runClient, type Target } from '../support/clients.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { requireTool } from '../support/tools.ts'
import { alice, at, openScene, type Scene } from './scene.ts'

const image = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'] })

const copies = {
  crane: (from, to) => ['copy', imageName(from), imageName(to)],
  oras: (from, to) => {
    const [of, into] = [
      connectionFlags('oras', from, '--from-'),
      connectionFlags('oras', to, '--to-'),
    ]
    return ['copy', '--no-tty', ...of, ...into, imageName(from), imageName(to)]
  },
  regctl: (from, to) => {
    const flags = connectionFlags('regctl', from)
    return [...flags, 'image', 'copy', imageName(from), imageName(to)]
  },
} as const satisfies Partial<Record<string, (from: Target, to: Target) => string[]>>

for (const { transport, options } of [
  { transport: 'HTTP, anonymous', options: {} },
  { transport: 'HTTPS, with user and password', options: { isSecure: true, login: alice } },
]) {
  describe(`copying within the registry over ${transport}`, () => {
    let scene: Scene
    before(async () => {
      scene = await openScene(options)
      await scene.registry.push('from/image', 'latest', image)
    })
    after(() => scene[Symbol.asyncDispose]())

    for (const name of ['crane', 'oras', 'regctl'] as const) {
      test(`${name} mounts every blob`, async (t) => {
        if (requireTool(t, name) === undefined) return
        const client = await scene.client()
        const [from, to] = [at(client, 'from/image'), at(client, `to/${name}`)]
        await runClient(name, copies[name](from, to), client)

        const manifest = await scene.registry.request('HEAD', `/v2/to/${name}/manifests/latest`)
        assert.equal(manifest.header('docker-content-digest'), image.root.digest)
        const mounted = scene.registry
          .logs()
          .filter(({ msg, repository }) => msg === 'blob mounted' && repository === `to/${name}`)
          .map(({ digest }) => String(digest))
          .toSorted()
        const blobs = image.blobs.map(({ digest }) => digest)
        assert.deepEqual(mounted, blobs.toSorted())
      })
    }
  })
}
