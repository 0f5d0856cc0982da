/**
 * containerd: a `hosts.toml` for all registries (`_default`) or for some, which it reads at each pull,
 * from the directory that its configuration names.
 */
import { join } from 'node:path'
import { authorityFile, wantAuthority } from './authority-file.ts'
import { type ContainerdConfig, readContainerdConfig } from './containerd-config.ts'
import { describeProblems } from './containerd-problems.ts'
import { formatCertificates, formatHostsToml } from './hosts-toml.ts'
import { backupSuffix } from './node-file.ts'
import type { NodeRoot } from './node-root.ts'
import {
  allRegistries,
  type Findings,
  type NodePlaces,
  type NodeSettings,
  type Runtime,
  type WantedFile,
} from './runtime.ts'

const configFileDefault = '/etc/containerd/config.toml'
const hostsDirectoryDefault = '/etc/containerd/certs.d'
const hostsFile = 'hosts.toml'

export class Containerd implements Runtime {
  readonly #configFile: string
  readonly #hostsDirectory: string | undefined

  constructor({ containerdConfig = configFileDefault, hostsDirectory }: NodePlaces) {
    this.#configFile = containerdConfig
    this.#hostsDirectory = hostsDirectory
  }

  async listWanted(settings: NodeSettings, node: NodeRoot): Promise<WantedFile[]> {
    const root = this.#chooseDirectory(await this.#readConfig(node))
    const names = await node.listNames(root)
    const wanted: WantedFile[] = []
    for (const registry of settings.registries) {
      const directory = join(root, chooseName(registry, names))
      wanted.push(...wantAuthority(settings, join(directory, authorityFile)))
      const certificates = formatCertificates(await node.listNames(directory))
      const render = (before = certificates) => formatHostsToml(settings, before)
      wanted.push({ path: join(directory, hostsFile), render })
    }
    return wanted
  }

  async listPlaces(node: NodeRoot): Promise<string[]> {
    const root = this.#chooseDirectory(await this.#readConfig(node))
    const places = [join(root, allRegistries, hostsFile)]
    for (const directory of await node.listNames(root)) {
      const names = await node.listNames(join(root, directory))
      for (const file of [hostsFile, authorityFile]) {
        const path = join(root, directory, file)
        const isThere = names.includes(file) || names.includes(`${file}${backupSuffix}`)
        if (isThere && !places.includes(path)) places.push(path)
      }
    }
    return places
  }

  async inspect(settings: NodeSettings, node: NodeRoot): Promise<Findings> {
    const config = await this.#readConfig(node)
    const directory = this.#chooseDirectory(config)
    return {
      problems: describeProblems(config, { file: this.#configFile, directory }),
      notes: await describeShadows(settings, node, directory),
    }
  }

  #readConfig(node: NodeRoot): Promise<ContainerdConfig> {
    return readContainerdConfig(node, this.#configFile)
  }

  /** Of several directories the first one is looked into first, for `_default` too. */
  #chooseDirectory({ configPath }: ContainerdConfig): string {
    return this.#hostsDirectory ?? configPath?.directories[0] ?? hostsDirectoryDefault
  }
}

/** `host_5000_` is looked for before `host:5000`, so that is used if it is there. */
function chooseName(registry: string, names: readonly string[]): string {
  const underscored = registry.replace(/:(\d+)$/, '_$1_')
  return names.includes(underscored) ? underscored : registry
}

/** A registry with a directory of its own never gets to `_default`. */
async function describeShadows(
  { registries }: NodeSettings,
  node: NodeRoot,
  directory: string,
): Promise<string[]> {
  if (!registries.includes(allRegistries)) return []
  const shadows: string[] = []
  for (const name of await node.listNames(directory)) {
    const registry = name.replace(/_(\d+)_$/, ':$1')
    if ((registries as readonly string[]).includes(registry) || name.startsWith('.')) continue
    if ((await node.listNames(join(directory, name))).length > 0) shadows.push(registry)
  }
  if (shadows.length === 0) return []
  const flags = [allRegistries, ...shadows].map((name) => `--registry ${name}`).join(' ')
  return [
    `what ${directory} has for ${shadows.join(', ')} is used in place of ${allRegistries}, so those ` +
      `images are not pulled through Trow; to change that: ${flags}`,
  ]
}
