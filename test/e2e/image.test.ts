// The container image: made twice it is the same; pushed to a Trow and pulled from there by podman, it
// runs as Trow does in a cluster: as user 333333, on a read-only root, in 256 MiB, with nothing in it
// but the program. The one for arm64 is run by an emulator.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chown, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { send } from '../support/http-client.ts'
import { isolatedEnvironment, runClient, storageFlags } from '../support/clients.ts'
import { listBlocks, readPages } from '../support/documentation.ts'
import { imageFixture, tarArchive } from '../support/image-fixture.ts'
import { layoutEntries } from '../support/layout-entries.ts'
import { realImageLayout } from '../support/real-image.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { getTool, requireTool } from '../support/tools.ts'
import { until } from '../support/until.ts'
import { openScene, type Scene } from './scene.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const user = 333_333

interface Descriptor {
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly platform?: { readonly architecture: string }
}

interface Manifest {
  readonly layers: readonly Descriptor[]
  readonly manifests: readonly Descriptor[]
  readonly annotations: Readonly<Record<string, string>>
  readonly subject?: Descriptor
}

async function makeImage(directory: string, ...flags: string[]): Promise<void> {
  await run(join(root, 'bin/node'), [join(root, 'scripts/image.ts'), ...flags, directory])
}

async function readBlob(layout: string, digest: string): Promise<Manifest> {
  const text = await readFile(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)), 'utf8')
  return JSON.parse(text) as Manifest
}

async function readRoot(layout: string): Promise<{ index: Manifest; others: Descriptor[] }> {
  const top = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as Manifest
  const [first, ...others] = top.manifests
  return { index: await readBlob(layout, first?.digest ?? ''), others }
}

function architectureOf(index: Manifest, architecture: string): Descriptor {
  const found = index.manifests.find(({ platform }) => platform?.architecture === architecture)
  assert.ok(found, `no ${architecture}`)
  return found
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const page = readPages(['docs/container-image.md']).flatMap(listBlocks)
const commands = page.filter(({ comment }) => comment === 'run: image').map(({ text }) => text)

/** podman with storage of its own, and what a machine may lack that tests run on. */
async function writePodman(directory: string): Promise<void> {
  const flags = [
    ...storageFlags('podman', join(directory, 'podman')),
    `--runtime=${getTool('runc')}`,
    '--cgroup-manager=cgroupfs',
  ]
  // As if root were not root it gets no network that can be reached.
  const asRoot = 'env --unset=_CONTAINERS_ROOTLESS_UID --unset=XDG_RUNTIME_DIR'
  const script = `#!/bin/sh\nexec ${asRoot} ${getTool('podman')} ${flags.join(' ')} "$@"\n`
  await mkdir(join(directory, 'programs'))
  await writeFile(join(directory, 'programs/podman'), script, { mode: 0o755 })
}

async function isReady(port: number): Promise<boolean> {
  const url = new URL(`http://127.0.0.1:${port}/readiness`)
  const reply = await send('GET', url).catch(() => undefined)
  return reply?.status === 200
}

/** The image is made of Debian's packages, and run by runc, which needs root. */
function requireRoot(t: TestContext): boolean {
  if (requireTool(t, 'mmdebstrap') === undefined) return false
  if (process.getuid?.() === 0) return true
  t.skip('running a container needs root')
  return false
}

describe('the container image', () => {
  let scene: Scene
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let layout: string
  let isMade = false

  before(async () => {
    directory = await temporaryDirectory()
    layout = join(directory.path, 'image')
    scene = await openScene()
  })

  after(async () => {
    await scene[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  async function made(t: TestContext): Promise<boolean> {
    if (!requireRoot(t)) return false
    if (!isMade) await makeImage(layout)
    isMade = true
    return true
  }

  test('has both platforms, at most 60 MiB each, and says what is in it', async (t) => {
    if (!(await made(t))) return
    const { index, others } = await readRoot(layout)
    assert.equal(index.annotations['org.opencontainers.image.title'], 'Trow')
    for (const architecture of ['amd64', 'arm64']) {
      const descriptor = architectureOf(index, architecture)
      const { layers } = await readBlob(layout, descriptor.digest)
      const bytes = layers.reduce((sum, { size }) => sum + size, 0)
      assert.ok(bytes <= 60 * 1024 * 1024, `${architecture}: ${bytes} bytes`)
      const sboms = await Promise.all(others.map(({ digest }) => readBlob(layout, digest)))
      const sbom = sboms.find(({ subject }) => subject?.digest === descriptor.digest)
      const document = JSON.stringify(await readBlob(layout, sbom?.layers[0]?.digest ?? ''))
      for (const part of ['pkg:npm/trow@', 'pkg:npm/undici@', 'pkg:deb/debian/libc6@']) {
        assert.ok(document.includes(part), `${part} is not in the SBOM`)
      }
    }
  })

  test('made again from the same sources, it has the same digest', async (t) => {
    if (!(await made(t))) return
    const again = join(directory.path, 'again')
    await makeImage(again, '--platform', 'linux/amd64')
    const [{ index: first }, { index: second }] = [await readRoot(layout), await readRoot(again)]
    const digest = architectureOf(first, 'amd64').digest
    assert.equal(architectureOf(second, 'amd64').digest, digest)
  })

  test('runs as 333333 on a read-only root in 256 MiB, and is pushed to and pulled from', async (t) => {
    if (!(await made(t))) return
    if (!requireTool(t, 'podman') || !requireTool(t, 'runc') || !requireTool(t, 'skopeo')) return
    const client = await scene.client()
    const name = `${scene.registry.host}/trow:test`
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const plain = ['--quiet', '--all', '--dest-tls-verify=false']
    await runClient(
      'skopeo',
      ['copy', ...plain, `oci:${layout}:${version}`, `docker://${name}`],
      client,
    )

    const data = join(directory.path, 'data')
    await mkdir(data)
    await chown(data, user, user)
    const storage = storageFlags('podman', join(directory.path, 'podman'))
    const global = [...storage, '--runtime', getTool('runc'), '--cgroup-manager=cgroupfs']
    const podman = (...args: string[]) => runClient('podman', [...global, ...args], client)
    await podman('pull', '--quiet', '--tls-verify=false', name)
    const port = await freePort()
    const limits = [
      '--read-only',
      // As in Kubernetes, where /tmp is no exception.
      '--read-only-tmpfs=false',
      '--memory=256m',
      '--ulimit=nofile=4096:4096',
      '--ulimit=nproc=4096:4096',
    ]
    const flags = ['--name=trow', '--network=host', ...limits, `--volume=${data}:/data`]
    await podman(
      'run',
      '--detach',
      '--log-driver=k8s-file',
      ...flags,
      name,
      `--bind=127.0.0.1:${port}`,
    )
    try {
      await until('the container is ready', () => isReady(port))
      const image = await realImageLayout()
      const inside = { ...client, registry: `127.0.0.1:${port}` }
      const target = `docker://${inside.registry}/debian:it`
      await runClient('skopeo', ['copy', ...plain, `oci:${image.directory}`, target], inside)
      const listed = await podman(
        'exec',
        'trow',
        '/usr/bin/trow',
        'ls',
        `${inside.registry}/debian`,
      )
      assert.match(listed, /it/)
      const archive = tarArchive(layoutEntries(imageFixture()))
      await writeFile(join(data, 'image.tar.gz'), gzipSync(archive))
      const importing = ['import', '/data/image.tar.gz', `--registry=${inside.registry}`]
      const imported = await podman('exec', 'trow', '/usr/bin/trow', ...importing)
      assert.match(imported, /team\/app:v1/)
      const { Uid } = JSON.parse(await podman('exec', 'trow', '/usr/bin/node', '-p', identity))
      assert.equal(Uid, user)
      await assert.rejects(
        podman('exec', 'trow', '/bin/sh', '-c', 'true'),
        /no such file|not found/,
      )
    } catch (error) {
      throw new Error(await podman('logs', 'trow'), { cause: error })
    } finally {
      await podman('stop', '--time=20', 'trow')
      const code = await podman('inspect', '--format={{.State.ExitCode}}', 'trow')
      await podman('rm', '--force', 'trow')
      assert.equal(code.trim(), '0')
    }
  })

  test('is made, pushed, looked at and run by the commands of its page', async (t) => {
    if (!requireRoot(t)) return
    const needed = ['podman', 'runc', 'skopeo', 'oras'] as const
    if (needed.some((name) => requireTool(t, name) === undefined)) return
    const work = await mkdtemp(join(directory.path, 'page-'))
    await writePodman(work)
    const host = scene.registry.host.replace('127.0.0.1', 'localhost')
    const environment = await isolatedEnvironment({ registry: host, directory: work })
    const insecure = `[[registry]]\nlocation = "${host}"\ninsecure = true\n`
    await writeFile(String(environment['CONTAINERS_REGISTRIES_CONF']), insecure)
    const path = [join(work, 'programs'), dirname(getTool('oras')), process.env['PATH']].join(':')
    const port = await freePort()
    const shell = async (script: string) =>
      await run('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
        cwd: work,
        env: { ...process.env, ...environment, PATH: path },
      })
    const limits = '--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096'
    const rewrite = (script: string) =>
      script
        .replaceAll('REGISTRY/', `${host}/`)
        .replaceAll(
          'npm run image -- ',
          `HOME=${homedir()} npm run --prefix ${root} image -- ${work}/`,
        )
        .replaceAll('podman run ', `podman run --detach --name=CONTAINER ${limits} `)
        .replaceAll('--publish 8000:', `--publish ${port}:`)
    const [running, making] = [/^podman/, /^(?!podman)/].map((sign) =>
      commands.filter((script) => sign.test(script)),
    )
    for (const script of making ?? []) await assert.doesNotReject(shell(rewrite(script)))
    try {
      for (const script of running ?? []) {
        const { stderr } = await shell(rewrite(script))
        assert.doesNotMatch(stderr, /^(?:Cannot|Warning)/im)
        await until('the published port answers', () => isReady(port))
      }
    } catch (error) {
      const { stderr } = await shell('podman logs CONTAINER')
      throw new Error(stderr, { cause: error })
    } finally {
      await shell('podman rm --force --ignore CONTAINER')
    }
  })

  test('for arm64 is run by an emulator', async (t) => {
    if (!(await made(t))) return
    const emulator = requireTool(t, 'qemu-aarch64-static')
    if (emulator === undefined) return
    const { index } = await readRoot(layout)
    const { layers } = await readBlob(layout, architectureOf(index, 'arm64').digest)
    const system = join(directory.path, 'arm64')
    await mkdir(system)
    for (const { digest } of layers) {
      const blob = join(layout, 'blobs/sha256', digest.slice('sha256:'.length))
      await run('tar', ['-xzf', blob, '-C', system])
    }
    const program = [join(system, 'usr/bin/node'), join(system, 'opt/trow/dist/main.js')]
    const { stdout } = await run(emulator, ['-L', system, ...program, '--version'])
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    assert.equal(stdout.trim(), version)
  })
})

const identity = 'JSON.stringify({ Uid: process.getuid() })'
