// `trow ls` and `trow inspect` see in a registry what crane sees there: in this one, over HTTPS with a
// login that crane keeps, and in distribution's, which Debian packages.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { clients, runClient, type Registry } from '../support/clients.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, getTool, requireTool } from '../support/tools.ts'
import { logIn } from './log-in.ts'
import { alice, at, openScene } from './scene.ts'

const program = fileURLToPath(new URL('../../bin/trow', import.meta.url))
const execute = promisify(execFile)
const pushed = [
  ['debian', 'bookworm'],
  ['debian', 'latest'],
  ['team/base/debian', 'latest'],
] as const

interface Opened extends AsyncDisposable {
  readonly client: Registry
}

async function openTrow(): Promise<Opened> {
  const scene = await openScene({ isSecure: true, login: alice })
  const client = await scene.stranger()
  await logIn('crane', client, alice)
  return {
    client: { ...client, isLoggedIn: true },
    [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose](),
  }
}

async function openDistribution(): Promise<Opened> {
  await using resources = new AsyncDisposableStack()
  const { path: directory } = resources.use(await temporaryDirectory())
  const config = join(directory, 'config.yaml')
  const storage = `{ filesystem: { rootdirectory: '${join(directory, 'data')}' } }`
  const http = `{ addr: '127.0.0.1:0' }`
  await writeFile(config, `version: 0.1\nstorage: ${storage}\nhttp: ${http}\n`)
  const child = spawn(getTool('docker-registry'), ['serve', config], {
    env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited = once(child, 'exit')
  resources.defer(async () => {
    child.kill('SIGTERM')
    await exited
  })
  const registry = await new Promise<string>((resolve, reject) => {
    void exited.then(() => reject(new Error('docker-registry did not start')))
    createInterface({ input: child.stderr }).on('line', (line) => {
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (address !== undefined) resolve(address)
    })
  })
  const opened = resources.move()
  return { client: { registry, directory }, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

for (const { kind, needs, open } of [
  { kind: 'this registry', needs: 'crane', open: openTrow },
  { kind: "distribution's registry", needs: 'docker-registry', open: openDistribution },
] as const) {
  describe(`trow ls and trow inspect of ${kind}`, () => {
    let opened: Opened
    let layout: ImageLayout
    before(async () => {
      if (findTool('crane') === undefined || findTool(needs) === undefined) return
      layout = await realImageLayout()
      opened = await open()
      for (const [repository, tag] of pushed) {
        await clients.crane.push(layout, at(opened.client, repository, tag))
      }
    })
    after(() => opened?.[Symbol.asyncDispose]())

    /** With the home, and so with the login, that crane has. */
    async function trow(...args: string[]): Promise<string> {
      const { directory, tls } = opened.client
      const home = join(directory, 'home')
      const env = { PATH: process.env['PATH'], HOME: home, DOCKER_CONFIG: home }
      const trust = tls ? ['--ca', tls.ca] : []
      return (await execute(program, [...args, ...trust], { env })).stdout
    }

    async function crane(...args: string[]): Promise<string[]> {
      return (await runClient('crane', args, opened.client)).trimEnd().split('\n')
    }

    test('the repositories are those of crane catalog', async (t) => {
      if (requireTool(t, 'crane') === undefined || requireTool(t, needs) === undefined) return
      const { registry } = opened.client
      const expected = ['debian', 'team/base/debian']
      assert.deepEqual(await crane('catalog', registry), expected)
      assert.deepEqual((await trow('ls', '--quiet', registry)).trimEnd().split('\n'), expected)
    })

    test('the tags and digests are those of crane ls and crane digest', async (t) => {
      if (requireTool(t, 'crane') === undefined || requireTool(t, needs) === undefined) return
      const place = `${opened.client.registry}/debian`
      const listed = JSON.parse(await trow('ls', '--json', place)) as {
        tags: { name: string; digest: string; images: { platform: string; digest: string }[] }[]
      }
      assert.deepEqual(
        listed.tags.map(({ name }) => name),
        await crane('ls', place),
      )
      for (const { name, digest, images } of listed.tags) {
        assert.deepEqual(await crane('digest', `${place}:${name}`), [digest])
        for (const { platform, digest } of images) {
          const ofPlatform = ['digest', '--platform', platform, `${place}:${name}`]
          assert.deepEqual(await crane(...ofPlatform), [digest])
        }
      }
    })

    test('the layers are those of crane manifest', async (t) => {
      if (requireTool(t, 'crane') === undefined || requireTool(t, needs) === undefined) return
      const place = `${opened.client.registry}/team/base/debian`
      interface Manifest {
        readonly digest: string
        readonly layers: { digest: string; size: number }[]
      }
      const inspected = JSON.parse(await trow('inspect', '--json', place)) as {
        digest: string
        manifests: Manifest[]
      }
      assert.equal(inspected.digest, layout.digest)
      assert.equal(inspected.manifests.length, 2)
      for (const { digest, layers } of inspected.manifests) {
        const [json = ''] = await crane('manifest', `${place}@${digest}`)
        const expected = (JSON.parse(json) as Manifest).layers
        const essence = (all: Manifest['layers']) => all.map(({ digest, size }) => [digest, size])
        assert.deepEqual(essence(layers), essence(expected))
      }
    })
  })
}
