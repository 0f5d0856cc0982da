// The real clients as functions: push an OCI layout to a registry, pull it back, say the digest.
// Each runs with a home, credentials, trust and storage of its own below the target's directory,
// so that nothing of the person's who runs the tests is read or written, and no two calls share.

import { execFile, type ExecFileException } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { getTool, type ToolName } from './tools.ts'

const execute = promisify(execFile)

const clientTimeoutMs = 2 * 60 * 1000
const clientOutputBytesMax = 16 * 1024 * 1024

/** A registry as a client reaches it: over plain HTTP without `tls`. */
export interface Registry {
  /** `host:port` */
  readonly registry: string
  /** The path of a PEM file with the certificate authority to trust. */
  readonly tls?: { readonly ca: string }
  readonly auth?: { readonly username: string; readonly password: string }
  /** An empty directory for what the client keeps; the caller removes it. */
  readonly directory: string
  /** What a client's own login wrote there is used, instead of `auth`. */
  readonly isLoggedIn?: true
}

export interface Target extends Registry {
  readonly repository: string
  readonly tag: string
}

/** An image index in an OCI layout, under a reference name. */
export interface LayoutSource {
  readonly directory: string
  readonly ref: string
  readonly digest: string
}

export interface Client {
  /** Pushes every platform's image and the index; the digest that the tag then has. */
  push(layout: LayoutSource, target: Target): Promise<string>
  /** Pulls what the tag names; its digest, as the client found it. */
  pull(target: Target): Promise<string>
}

/** The image's name for a client: `host:port/repository:tag`. */
export function imageName({ registry, repository, tag }: Target): string {
  return `${registry}/${repository}:${tag}`
}

/** Runs a client in isolation and returns its stdout; its stderr is in the error otherwise. */
export async function runClient(
  tool: ToolName,
  args: readonly string[],
  registry: Registry,
  extraEnvironment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const program = getTool(tool)
  const env = { ...(await isolatedEnvironment(registry)), ...extraEnvironment }
  try {
    const { stdout } = await execute(program, args, {
      cwd: registry.directory,
      env,
      killSignal: 'SIGKILL',
      maxBuffer: clientOutputBytesMax,
      timeout: clientTimeoutMs,
    })
    return stdout
  } catch (error) {
    const { code, signal, stderr } = error as ExecFileException & { stderr?: string }
    const ending = signal ? `was ended by ${signal}` : `failed with ${code}`
    throw new Error(`${tool} ${args.join(' ')} ${ending}: ${stderr}`, { cause: error })
  }
}

/** What a client's command needs to reach this registry, as flags that start with `prefix`. */
export function connectionFlags(
  tool: keyof typeof clients | 'ctr',
  target: Registry,
  prefix = '--',
): string[] {
  const { registry, tls, auth, directory } = target
  switch (tool) {
    case 'skopeo':
    case 'podman':
    case 'buildah':
      return tls
        ? [`${prefix}cert-dir`, certificatesDirectory(directory)]
        : [`${prefix}tls-verify=false`]
    case 'oras':
      return tls ? [`${prefix}ca-file`, tls.ca] : [`${prefix}plain-http`]
    case 'regctl':
      return tls ? [] : ['--host', `reg=${registry},tls=disabled`]
    case 'ctr':
      return [
        ...(tls ? ['--tlscacert', tls.ca] : ['--plain-http']),
        ...(auth ? ['--user', `${auth.username}:${auth.password}`] : []),
      ]
    case 'crane':
      return [] // it tries HTTPS and then HTTP on a loopback address, and trusts SSL_CERT_FILE
  }
}

function certificatesDirectory(directory: string): string {
  return join(directory, 'certificates')
}

/** The variables by which the clients find their files, and those files. */
export async function isolatedEnvironment(target: Registry): Promise<NodeJS.ProcessEnv> {
  const { registry, tls, auth, directory, isLoggedIn } = target
  const home = join(directory, 'home')
  const config = join(home, '.config')
  const containers = join(config, 'containers')
  const paths = { run: join(home, 'run'), data: join(home, 'data'), tmp: join(home, 'tmp') }
  const directories = [containers, certificatesDirectory(directory), ...Object.values(paths)]
  for (const path of directories) await mkdir(path, { recursive: true, mode: 0o700 })

  const authFile = join(home, 'config.json')
  const encoded = auth && Buffer.from(`${auth.username}:${auth.password}`).toString('base64')
  const auths = auth ? { [registry]: { auth: encoded } } : {}
  if (!isLoggedIn) await writeFile(authFile, JSON.stringify({ auths }))
  const policy = { default: [{ type: 'insecureAcceptAnything' }] }
  await writeFile(join(containers, 'policy.json'), JSON.stringify(policy))
  const storage = { driver: 'vfs', graphroot: join(home, 'root'), runroot: join(home, 'run') }
  const storageLines = Object.entries(storage).map(([key, value]) => `${key} = "${value}"\n`)
  await writeFile(join(containers, 'storage.conf'), `[storage]\n${storageLines.join('')}`)
  for (const file of ['registries.conf', 'containers.conf']) {
    await writeFile(join(containers, file), '')
  }
  if (tls) await copyFile(tls.ca, join(certificatesDirectory(directory), 'ca.crt'))

  return {
    PATH: process.env['PATH'],
    HOME: home,
    TMPDIR: paths.tmp,
    XDG_CONFIG_HOME: config,
    XDG_DATA_HOME: paths.data,
    XDG_RUNTIME_DIR: paths.run,
    DOCKER_CONFIG: home,
    REGISTRY_AUTH_FILE: authFile,
    CONTAINERS_CONF: join(containers, 'containers.conf'),
    CONTAINERS_REGISTRIES_CONF: join(containers, 'registries.conf'),
    CONTAINERS_STORAGE_CONF: join(containers, 'storage.conf'),
    // Otherwise root's memory of which registry has which blob is shared, in /var/lib/containers.
    ...(process.getuid?.() === 0 && { _CONTAINERS_ROOTLESS_UID: '1' }),
    ...(tls && { SSL_CERT_FILE: tls.ca }),
  }
}

/** The digest that a layout, written by a client, has for a tag (or for its only entry). */
async function readLayoutDigest(directory: string, tag?: string): Promise<string> {
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
  const found = index.manifests.find(
    ({ annotations }) =>
      tag === undefined || annotations?.['org.opencontainers.image.ref.name'] === tag,
  )
  if (found === undefined) throw new Error(`no ${tag} in ${directory}/index.json`)
  return found.digest
}

/** A directory below the target's that no other call uses. */
export async function freshDirectory({ directory }: Registry, name: string): Promise<string> {
  return await mkdtemp(join(directory, `${name}-`))
}

const skopeo: Client = {
  async push(layout, target) {
    const digestFile = join(await freshDirectory(target, 'pushed'), 'digest')
    const flags = connectionFlags('skopeo', target, '--dest-')
    const source = `oci:${layout.directory}:${layout.ref}`
    const copy = ['copy', '--all', '--preserve-digests', '--digestfile', digestFile]
    await runClient('skopeo', [...copy, ...flags, source, `docker://${imageName(target)}`], target)
    return (await readFile(digestFile, 'utf8')).trim()
  },
  async pull(target) {
    const pulled = await freshDirectory(target, 'pulled')
    const flags = connectionFlags('skopeo', target, '--src-')
    const copy = ['copy', '--all', '--preserve-digests', ...flags]
    const destination = `oci:${pulled}:${target.tag}`
    await runClient('skopeo', [...copy, `docker://${imageName(target)}`, destination], target)
    return await readLayoutDigest(pulled, target.tag)
  },
}

/** crane pushes a layout's index.json, so it is given one that is the image index itself. */
async function layoutOfIndex(layout: LayoutSource, directory: string): Promise<void> {
  const blobs = join(layout.directory, 'blobs')
  await symlink(blobs, join(directory, 'blobs'))
  await copyFile(join(blobs, layout.digest.replace(':', '/')), join(directory, 'index.json'))
  await copyFile(join(layout.directory, 'oci-layout'), join(directory, 'oci-layout'))
}

const crane: Client = {
  async push(layout, target) {
    const source = await freshDirectory(target, 'layout')
    await layoutOfIndex(layout, source)
    const pushed = await runClient('crane', ['push', '--index', source, imageName(target)], target)
    return pushed.trim().replace(/^.*@/, '')
  },
  async pull(target) {
    const pulled = await freshDirectory(target, 'pulled')
    await runClient('crane', ['pull', '--format=oci', imageName(target), pulled], target)
    return await readLayoutDigest(pulled)
  },
}

const oras: Client = {
  async push(layout, target) {
    const flags = connectionFlags('oras', target, '--to-')
    const source = `${layout.directory}:${layout.ref}`
    const copy = ['copy', '--no-tty', '--from-oci-layout', source, ...flags, imageName(target)]
    return parseDigest(await runClient('oras', copy, target))
  },
  async pull(target) {
    const pulled = await freshDirectory(target, 'pulled')
    const flags = connectionFlags('oras', target, '--from-')
    const destination = ['--to-oci-layout', `${pulled}:${target.tag}`]
    const copy = ['copy', '--no-tty', ...flags, imageName(target), ...destination]
    await runClient('oras', copy, target)
    return await readLayoutDigest(pulled, target.tag)
  },
}

const regctl: Client = {
  async push(layout, target) {
    const flags = connectionFlags('regctl', target)
    const source = `ocidir://${layout.directory}:${layout.ref}`
    await runClient('regctl', [...flags, 'image', 'copy', source, imageName(target)], target)
    const digest = [...flags, 'image', 'digest', imageName(target)]
    return (await runClient('regctl', digest, target)).trim()
  },
  async pull(target) {
    const pulled = await freshDirectory(target, 'pulled')
    const flags = connectionFlags('regctl', target)
    const destination = `ocidir://${pulled}:${target.tag}`
    await runClient('regctl', [...flags, 'image', 'copy', imageName(target), destination], target)
    return await readLayoutDigest(pulled, target.tag)
  },
}

/** Global flags that give podman or buildah image storage of its own; podman wants a short path. */
export function storageFlags(tool: 'podman' | 'buildah', storage: string): string[] {
  const root = ['--root', join(storage, 'root'), '--runroot', join(storage, 'run')]
  const podmanOnly = ['--tmpdir', join(storage, 'tmp'), '--events-backend=none']
  return [...root, '--storage-driver=vfs', ...(tool === 'podman' ? podmanOnly : [])]
}

/** podman and buildah push a manifest list, and pull (and unpack) their own platform's image. */
function containersClient(tool: 'podman' | 'buildah'): Client {
  async function withStorage<T>(
    target: Target,
    body: (run: (...args: string[]) => Promise<string>) => Promise<T>,
  ): Promise<T> {
    const storage = await mkdtemp(join(tmpdir(), `${tool}-`))
    try {
      const flags = storageFlags(tool, storage)
      return await body((...args) => runClient(tool, [...flags, ...args], target))
    } finally {
      await rm(storage, { recursive: true, force: true })
    }
  }
  return {
    push: (layout, target) =>
      withStorage(target, async (run) => {
        const digestFile = join(await freshDirectory(target, 'pushed'), 'digest')
        await run('manifest', 'create', 'list')
        await run('manifest', 'add', '--all', 'list', `oci:${layout.directory}:${layout.ref}`)
        const push = ['manifest', 'push', '--all', '--format=oci', '--digestfile', digestFile]
        const flags = connectionFlags(tool, target)
        await run(...push, ...flags, 'list', `docker://${imageName(target)}`)
        const digest = (await readFile(digestFile, 'utf8')).trim()
        // buildah 1.28 ends with 0 and without a word when this fails.
        if (digest === '') throw new Error(`${tool} manifest push has pushed nothing`)
        return digest
      }),
    pull: (target) =>
      withStorage(target, async (run) => {
        await run('pull', ...connectionFlags(tool, target), imageName(target))
        return parseDigest(await run('images', '--digests'))
      }),
  }
}

/** The first digest in what a client printed. */
export function parseDigest(output: string): string {
  const digest = /sha256:[0-9a-f]{64}/.exec(output)?.[0]
  if (digest === undefined) throw new Error(`no digest in: ${output}`)
  return digest
}

/** The clients that need nothing but their program; for containerd see `containerd.ts`. */
export const clients = {
  buildah: containersClient('buildah'),
  crane,
  oras,
  podman: containersClient('podman'),
  regctl,
  skopeo,
} as const satisfies Partial<Record<ToolName, Client>>
