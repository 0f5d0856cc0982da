// The server is killed, as by a power cut, again and again while a real client pushes or pulls a real
// image, and started again each time. Told once more to, the client goes on where it was; then the
// image is there whole, for other clients too, and it runs.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  connectionFlags,
  imageName,
  runClient,
  storageFlags,
  type Target,
} from '../support/clients.ts'
import { realImageLayout } from '../support/real-image.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { ClientTable, requireClient, type ClientName } from './client-table.ts'
import { logIn } from './log-in.ts'
import { Relay, type Direction } from './relay.ts'
import { alice, at, openScene, type Scene } from './scene.ts'
import { sizeOfLayout, verifyStoredBlobs } from './stored-blobs.ts'

/** When the server is killed: after this part of the image's bytes, in all attempts together. */
const killsAfter = [0.07, 0.4, 0.8]
const timeout = 120_000

interface Interrupted {
  readonly digest: string
  readonly kills: number
  readonly attempts: number
}

/** Kills and restarts the server while `transfer` goes on, which is tried again when it fails. */
async function interrupt(
  { registry }: Scene,
  { direction, bytes }: { readonly direction: Direction; readonly bytes: number },
  transfer: (host: string) => Promise<string>,
): Promise<Interrupted> {
  let port = Promise.resolve(Number(new URL(registry.url).port))
  await using relay = await Relay.start(() => port)
  let kills = 0
  const restart = async () => {
    await registry.kill()
    await registry.restart()
    kills += 1
    return Number(new URL(registry.url).port)
  }
  const interruptions = (async () => {
    for (const part of killsAfter) {
      await relay.passed(direction, part * bytes)
      port = restart()
      await port
    }
  })()
  // Awaited when the transfer is through, which it cannot be before all of them.
  interruptions.catch(() => {})
  for (let attempts = 1; ; attempts++) {
    try {
      const digest = await transfer(relay.host)
      await interruptions
      return { digest, kills, attempts }
    } catch (error) {
      if (attempts > killsAfter.length) {
        throw new Error(`the server said:\n${registry.output()}`, { cause: error })
      }
    }
  }
}

/** Who pushes or pulls while the server is killed, and who looks whether all is well afterwards. */
const interrupted: readonly { name: ClientName; other: ClientName }[] = [
  { name: 'skopeo', other: 'crane' },
  { name: 'regctl', other: 'skopeo' },
  { name: 'crane', other: 'oras' },
]

describe('killed and restarted', { concurrency: 2, timeout }, () => {
  for (const { name, other } of interrupted) {
    test(`while ${name} pushes: the image arrives whole, and ${other} pulls it`, async (t) => {
      if (!requireClient(t, name) || !requireClient(t, other)) return
      const layout = await realImageLayout()
      const bytes = await sizeOfLayout(layout.directory)
      await using table = new ClientTable()
      await using scene = await openScene()
      const [pusher, client] = [await table.get(name), await scene.client()]
      const pushed = await interrupt(scene, { direction: 'push', bytes }, (host) =>
        pusher.push(layout, at({ ...client, registry: host }, 'real/image')),
      )
      t.diagnostic(`${pushed.kills} kills, ${pushed.attempts} attempts`)
      assert.equal(pushed.kills, killsAfter.length)
      assert.equal(pushed.digest, layout.digest)

      const target = at(await scene.client(), 'real/image')
      assert.equal(await (await table.get(other)).pull(target), layout.digest)
      await verifyStoredBlobs(scene.registry.dataDirectory)
    })

    test(`while ${name} pulls: it gets the whole image`, async (t) => {
      if (!requireClient(t, name) || !requireClient(t, other)) return
      const layout = await realImageLayout()
      const bytes = await sizeOfLayout(layout.directory)
      await using table = new ClientTable()
      await using scene = await openScene()
      await (await table.get(other)).push(layout, at(await scene.client(), 'real/image'))
      const [puller, client] = [await table.get(name), await scene.client()]
      const pulled = await interrupt(scene, { direction: 'pull', bytes }, (host) =>
        puller.pull(at({ ...client, registry: host }, 'real/image')),
      )
      t.diagnostic(`${pulled.kills} kills, ${pulled.attempts} attempts`)
      assert.equal(pulled.kills, killsAfter.length)
      assert.equal(pulled.digest, layout.digest)
    })
  }
})

describe('after a restart', () => {
  test('podman logs in again with what it kept, and the image that buildah pulls runs', async (t) => {
    if (!requireClient(t, 'skopeo') || !requireClient(t, 'podman')) return
    const layout = await realImageLayout()
    await using table = new ClientTable()
    await using scene = await openScene({ isSecure: true, login: alice })
    await (await table.get('skopeo')).push(layout, at(await scene.client(), 'real/image'))
    await scene.registry.kill()
    await scene.registry.restart()

    const stranger = await scene.stranger()
    await logIn('podman', stranger, alice)
    const target = at({ ...stranger, isLoggedIn: true }, 'real/image')
    assert.equal(await (await table.get('podman')).pull(target), layout.digest)

    await t.test('runs', async (t) => {
      if (!requireClient(t, 'buildah')) return
      if (process.getuid?.() !== 0) return t.skip('a container is run by root only')
      if (!layout.real) return t.skip('the synthetic image has no program')
      const script = 'cat /etc/os-release /etc/trow-test-image; uname -m'
      const output = await runImage(at(await scene.client(), 'real/image'), script)
      assert.match(output, /^ID=debian$/m)
      assert.match(output, /made for tests/)
    })
  })
})

/** Pulls an image with buildah, and runs a script in a container of it. */
async function runImage(target: Target, script: string): Promise<string> {
  await using storage = await temporaryDirectory()
  const buildah = (...args: string[]) =>
    runClient('buildah', [...storageFlags('buildah', storage.path), ...args], target)
  await buildah('from', '--name=it', ...connectionFlags('buildah', target), imageName(target))
  return await buildah('run', '--isolation=chroot', 'it', '--', '/bin/sh', '-c', script)
}
