// A shell in which a page's commands run with the real clients. Only addresses are changed, and `bin/trow`, `/data`
// and the chart lead to what is under test; the page finds the files that it shows, and what it speaks of as being there.

import { execFile } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { issueCertificate } from './certificate.ts'
import { isolatedEnvironment } from './clients.ts'
import { type Block, documentationRoot, shellCommands } from './documentation.ts'
import { chartDirectory } from './helm.ts'
import { imageFixture } from './image-fixture.ts'
import { proxyConfig } from './pull-through.ts'
import { type Registry, startRegistry } from './start-registry.ts'
import { findTool, type ToolName, tools } from './tools.ts'

const blockTimeoutMs = 120_000

/** Repositories of the registry that the pages speak of. */
export const ownImages = [
  'team/my-app:v0',
  'team/my-app:v1',
  'team/my-app:v2',
  'team/app:1.0',
  'ci/app:pr-17',
  'old/project:1.0',
] as const
const otherRegistries = ['docker.io', 'quay.io', 'ghcr.io', 'registry.k8s.io']
const otherImages = [
  'library/alpine:latest',
  'library/alpine:3.22',
  'library/busybox:stable',
  'library/nginx:latest',
  'library/nginx:1.27',
  'prometheus/node-exporter:v1.9.0',
  'org/app:v1',
  'trow-registry/trow:0.11.0',
]

const nodeConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
`

const documentedPrograms = join(import.meta.dirname, 'documented')

/** By the directory of their programs, which is put before those of the PATH. */
const clientTools = [
  'crane',
  'crictl',
  'ctr',
  'oras',
  'regctl',
  'skopeo',
  'podman',
  'helm-4',
] as const

export async function pushAll(registry: Registry, images: readonly string[]): Promise<void> {
  for (const [seed, image] of images.entries()) {
    const [repository = '', tag = ''] = image.split(':')
    await registry.push(repository, tag, imageFixture({ seed: seed + 1 }))
  }
}

/** All registries that the pages pull from. */
export async function startOtherRegistries(): Promise<Registry> {
  const upstream = await startRegistry({
    flags: otherRegistries.flatMap((name) => ['--hostname', name]),
  })
  await pushAll(upstream, otherImages)
  return upstream
}

/** The registry that the pages are about. */
export async function startOwnRegistry(
  upstream: Registry,
  settings: object = {},
): Promise<Registry> {
  const entries = otherRegistries.map((host) => ({
    host,
    insecure: true,
    endpoints: [upstream.host],
  }))
  const config = { ...(JSON.parse(proxyConfig(entries)) as object), ...settings }
  return await startRegistry({ config: JSON.stringify(config) })
}

/** The clients that a script runs. */
export function toolsOf(script: string): ToolName[] {
  // podman takes docker's commands.
  const programs = shellCommands(script).map(([program = '']) =>
    program === 'docker' ? 'podman' : program,
  )
  return [...new Set(programs)].filter((program): program is ToolName => program in tools)
}

/** Those that begin with a comment that has their name. */
async function writeShownFiles(directory: string, page: readonly Block[]): Promise<void> {
  for (const { language, text } of page) {
    const name = language === 'yaml' ? /^# (\w+\.yaml)\b/.exec(text)?.[1] : undefined
    if (name !== undefined) await writeFile(join(directory, name), text)
  }
}

/** A login and a certificate, as they are called everywhere. */
async function writeSecrets(directory: string): Promise<void> {
  const { cert, key } = issueCertificate(['localhost'])
  const passwords = ['password', 'secrets/password', 'secrets/trow', 'secrets/trow-password']
  await mkdir(join(directory, 'secrets'))
  for (const file of passwords) await writeFile(join(directory, file), 'secret')
  await writeFile(join(directory, 'cert.pem'), cert)
  await writeFile(join(directory, 'key.pem'), key)
}

export interface ShellOptions {
  /** Empty; the caller removes it. */
  readonly directory: string
  readonly registry: Registry
  readonly upstream: Registry
  readonly page: readonly Block[]
  /** A directory with programs that come before all others. */
  readonly programs?: string
  readonly environment?: NodeJS.ProcessEnv
}

export async function openShell(options: ShellOptions): Promise<Shell> {
  const { directory, registry, page } = options
  await symlink(registry.dataDirectory, join(directory, 'data'))
  await writeFile(join(directory, 'sbom.json'), '{}')
  await symlink(join(documentationRoot, 'deploy'), join(directory, 'deploy'))
  await mkdir(join(directory, 'node/etc/containerd'), { recursive: true })
  await mkdir(join(directory, 'var/lib'), { recursive: true })
  await writeFile(join(directory, 'node/etc/containerd/config.toml'), nodeConfig)
  await writeShownFiles(directory, page)
  await writeSecrets(directory)
  return new Shell(options, await prepareClients(options))
}

/** As people say it, and as every client takes it without TLS. */
function hostOf(registry: Registry): string {
  return registry.host.replace('127.0.0.1', 'localhost')
}

async function prepareClients(options: ShellOptions): Promise<NodeJS.ProcessEnv> {
  const { directory, registry, upstream, programs = [] } = options
  const own = join(directory, 'programs')
  await mkdir(own)
  await symlink(join(documentationRoot, 'bin/trow'), join(own, 'trow'))
  const podman = findTool('podman')
  if (podman !== undefined) await symlink(podman, join(own, 'docker'))
  const host = hostOf(registry)
  const environment = await isolatedEnvironment({ registry: host, directory })
  const home = String(environment['HOME'])
  const mirror = `[[registry]]\nprefix = "docker.io"\nlocation = "${upstream.host}"\ninsecure = true\n`
  await writeFile(
    String(environment['CONTAINERS_REGISTRIES_CONF']),
    `unqualified-search-registries = ["docker.io"]\n${mirror}[[registry]]\nlocation = "${host}"\ninsecure = true\n`,
  )
  await mkdir(join(home, '.config/containers/registries.conf.d'), { recursive: true })
  await mkdir(join(home, '.regctl'))
  const hosts = { [host]: { tls: 'disabled', hostname: host } }
  await writeFile(join(home, '.regctl/config.json'), JSON.stringify({ hosts }))
  await chmod(home, 0o700)
  const found = clientTools.flatMap((name) => findTool(name) ?? []).map((path) => dirname(path))
  const path = [programs, own, documentedPrograms, ...new Set(found), process.env['PATH']]
    .flat()
    .join(':')
  const socket = join(directory, 'containerd.sock')
  const containerd = {
    CONTAINER_RUNTIME_ENDPOINT: `unix://${socket}`,
    CONTAINERD_ADDRESS: socket,
    CONTAINERD_SNAPSHOTTER: 'native',
  }
  return { ...environment, ...containerd, ...options.environment, PATH: path }
}

export class Shell {
  readonly #directory: string
  readonly #host: string
  readonly #otherHost: string
  readonly #environment: NodeJS.ProcessEnv

  constructor({ directory, registry, upstream }: ShellOptions, environment: NodeJS.ProcessEnv) {
    this.#directory = directory
    this.#host = hostOf(registry)
    this.#otherHost = upstream.host
    this.#environment = environment
  }

  /** What the script prints. Rejects if one of its commands fails. */
  async run(script: string): Promise<string> {
    const { stdout } = await promisify(execFile)(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', this.#rewrite(script)],
      {
        cwd: this.#directory,
        env: this.#environment,
        timeout: blockTimeoutMs,
        killSignal: 'SIGKILL',
      },
    )
    return stdout
  }

  #rewrite(script: string): string {
    return (
      script
        // Not into itself.
        .replaceAll('trow mirror registry.example.com', `trow mirror ${this.#otherHost}`)
        .replaceAll(
          /\b(?:localhost|trow\.example\.com|registry\.example\.com)(?::8000)?(?=[/\s'"]|$)/g,
          this.#host,
        )
        .replaceAll('oci://ghcr.io/trow-registry/charts/trow', chartDirectory)
        .replaceAll(/\bbin\/trow\b/g, 'trow')
        .replaceAll(/ \/(data|backup|var\/lib)(?=[/\s]|$)/g, ' ./$1')
        .replaceAll('--hosts-dir /', `--hosts-dir ${this.#directory}/node/`)
        .replaceAll('file:///run/', 'file://./')
        // It serves for good, and these ask.
        .replaceAll(/^trow (?=serve |--)/gm, 'start-and-stop $&')
        .replaceAll(/^(?:docker login|trow rm) /gm, 'on-terminal $&')
        // Forwarding a port ends at once, and says whether it could have begun.
        .replaceAll(/(?<=port-forward .*) &$/gm, '')
        // That something may not run is an answer, too.
        .replaceAll(/\btrow policy test .*/g, '{ $& || test $? = 1; }')
        // Into a new one each: the data is still there.
        .replaceAll(/(?<=\btrow restore .*) \.\/data$/gm, ' "$(mktemp --directory)"')
        .replaceAll(/\btrow node-config (?:install|status|uninstall)\b/g, '$& --root ./node')
        // A pod's registry, and that of the port that is forwarded, is at the usual port.
        .replaceAll(/\btrow upstreams$/gm, `trow upstreams ${this.#host}`)
        .replaceAll('trow warm -', `trow warm --registry ${this.#host} -`)
    )
  }
}
