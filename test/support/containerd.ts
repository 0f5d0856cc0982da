// A containerd of the test's own, and ctr as its client: push and pull like the other clients of
// `clients.ts`, and pulls through a hosts directory (mirrors, `?ns=`). Only root can start it.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import {
  connectionFlags,
  freshDirectory,
  imageName,
  parseDigest,
  runClient,
  type Client,
  type Registry,
} from './clients.ts'
import { getTool } from './tools.ts'

const execute = promisify(execFile)

const startTimeoutMs = 30 * 1000
const logLinesMax = 1000

/** A running containerd; disposing of it stops it. */
export interface Containerd extends AsyncDisposable {
  /** The path of its socket. */
  readonly address: string
}

/** Starts containerd with its files below `directory`: no CRI, the copying snapshotter. */
export async function startContainerd(directory: string): Promise<Containerd> {
  const address = join(directory, 'containerd.sock')
  const config = join(directory, 'containerd.toml')
  await writeFile(config, containerdConfig(directory, address))
  const child = spawn(getTool('containerd'), ['--config', config], {
    env: { PATH: process.env['PATH'], TMPDIR: directory },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = async () => {
    child.kill('SIGTERM')
    await closed
  }
  try {
    await containerdStarted(child)
  } catch (error) {
    await stop()
    throw error
  }
  return { address, [Symbol.asyncDispose]: stop }
}

/** Content is not shared between namespaces, so that a pull into a new one fetches everything. */
function containerdConfig(directory: string, address: string): string {
  const disabled = [
    'io.containerd.cri.v1.images',
    'io.containerd.cri.v1.runtime',
    'io.containerd.grpc.v1.cri',
    'io.containerd.internal.v1.opt',
    'io.containerd.nri.v1.nri',
    'io.containerd.podsandbox.controller.v1.podsandbox',
  ]
  const platform = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`
  return `version = 4
root = '${join(directory, 'root')}'
state = '${join(directory, 'state')}'
imports = []
disabled_plugins = ${JSON.stringify(disabled)}
[plugins.'io.containerd.server.v1.grpc']
address = '${address}'
[plugins.'io.containerd.server.v1.ttrpc']
address = '${address}.ttrpc'
[plugins.'io.containerd.metadata.v1.bolt']
content_sharing_policy = 'isolated'
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
platform = '${platform}'
snapshotter = 'native'
differ = 'walking'
`
}

/** Waits for containerd's own word that it is up, and keeps its log flowing afterwards. */
async function containerdStarted(child: ChildProcess): Promise<void> {
  const log: string[] = []
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) =>
      reject(new Error(`containerd ${why}: ${log.slice(-20).join('\n')}`))
    const timer = setTimeout(() => fail('did not start in time'), startTimeoutMs)
    child.once('error', reject)
    child.once('close', (code) => fail(`exited with ${code}`))
    if (child.stderr === null) return
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (log.length < logLinesMax) log.push(line)
      if (!line.includes('containerd successfully booted')) return
      clearTimeout(timer)
      resolve()
    })
  })
}

/** Runs ctr against a containerd, in a namespace. */
export async function runCtr(
  { address }: Containerd,
  namespace: string,
  args: readonly string[],
  registry: Registry,
): Promise<string> {
  return await runClient('ctr', ['--address', address, '-n', namespace, ...args], registry)
}

/** Pulls any reference into a namespace of its own and unpacks it; the digest that it has. */
export async function ctrPull(
  containerd: Containerd,
  reference: string,
  flags: readonly string[],
  registry: Registry,
): Promise<string> {
  const namespace = `pull-${randomUUID()}`
  const pull = ['images', 'pull', ...flags, '--snapshotter=native', reference]
  await runCtr(containerd, namespace, pull, registry)
  return parseDigest(await runCtr(containerd, namespace, ['images', 'list'], registry))
}

export function containerdClient(containerd: Containerd): Client {
  return {
    async push(layout, target) {
      const namespace = `push-${randomUUID()}`
      const archive = join(await freshDirectory(target, 'archive'), 'image.tar')
      await execute('tar', ['-C', layout.directory, '-cf', archive, '.'])
      const importing = ['images', 'import', '--local', '--all-platforms', '--no-unpack']
      const local = 'import.invalid/image'
      await runCtr(containerd, namespace, [...importing, '--base-name', local, archive], target)
      const push = ['images', 'push', '--local', ...connectionFlags('ctr', target)]
      const names = [imageName(target), `${local}:${layout.ref}`]
      await runCtr(containerd, namespace, [...push, ...names], target)
      return parseDigest(await runCtr(containerd, namespace, ['images', 'list'], target))
    },
    pull: (target) =>
      ctrPull(
        containerd,
        imageName(target),
        ['--local', '--all-platforms', ...connectionFlags('ctr', target)],
        target,
      ),
  }
}
