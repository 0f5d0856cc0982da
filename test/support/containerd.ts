// A containerd of the test's own, and ctr as its client: push and pull like the other clients of
// `clients.ts`, and pulls through a hosts directory (mirrors, `?ns=`), by ctr or by the CRI. Only root
// can start it.

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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
import {
  containerdConfig,
  type ContainerdEdition,
  type ContainerdOptions,
} from './containerd-config.ts'
import { startDaemon } from './daemon.ts'
import { type ToolName } from './tools.ts'

const execute = promisify(execFile)

interface Programs {
  readonly containerd: ToolName
  readonly ctr: ToolName
}

export const containerdPrograms: Readonly<Record<ContainerdEdition, Programs>> = {
  current: { containerd: 'containerd', ctr: 'ctr' },
  debian: { containerd: 'debian-containerd', ctr: 'debian-ctr' },
}

/** A running containerd; disposing of it stops it. */
export interface Containerd extends AsyncDisposable {
  /** The path of its socket. */
  readonly address: string
  readonly ctr: ToolName
}

/** Starts containerd with its files below `directory`. */
export async function startContainerd(
  directory: string,
  options: ContainerdOptions = {},
): Promise<Containerd> {
  const address = join(directory, 'containerd.sock')
  const config = join(directory, 'containerd.toml')
  const { containerd, ctr } = containerdPrograms[options.edition ?? 'current']
  await writeFile(config, containerdConfig(directory, address, options))
  const ready = 'containerd successfully booted'
  const { trusted, proxy } = options
  const environment = {
    ...(trusted !== undefined && { SSL_CERT_FILE: trusted }),
    ...(proxy !== undefined && { HTTPS_PROXY: `http://${proxy}` }),
  }
  const started = { ready, directory, environment }
  const daemon = await startDaemon(containerd, ['--config', config], started)
  return { address, ctr, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() }
}

/** Runs ctr against a containerd, in a namespace. */
export async function runCtr(
  { address, ctr }: Containerd,
  namespace: string,
  args: readonly string[],
  registry: Registry,
): Promise<string> {
  return await runClient(ctr, ['--address', address, '-n', namespace, ...args], registry)
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
