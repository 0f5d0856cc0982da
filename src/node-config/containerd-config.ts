/**
 * What containerd's own configuration says about registries: `config.toml`, versions 1 to 4, and the
 * files that it imports, of which the later ones count. It is only read, never written: containerd
 * would have to be restarted for a change.
 */
import { basename, dirname, isAbsolute, join } from 'node:path'
import type { TomlTable } from 'smol-toml'
import { limits } from '../config/limits.ts'
import { isTable, parseToml } from './hosts-toml.ts'
import type { NodeRoot } from './node-root.ts'

/** The plugin that pulls for the kubelet, as each version of the file calls it. */
export const imagePlugins = {
  one: 'cri',
  two: 'io.containerd.grpc.v1.cri',
  three: 'io.containerd.cri.v1.images',
} as const

interface ConfigPath {
  readonly directories: readonly string[]
  readonly file: string
}

export interface ContainerdConfig {
  /** The main file; undefined where it is not there. */
  readonly version: number | undefined
  /** The plugin that has to have `config_path`. */
  readonly plugin: string
  /** Directories with `hosts.toml` files, and the file that names them. */
  readonly configPath: ConfigPath | undefined
  /** An imported file that has the plugin without `config_path`: containerd 1 takes only that then. */
  readonly forgottenIn: string | undefined
  /** Files that cannot be read as TOML. */
  readonly unreadable: readonly string[]
  /** The file in which registries are configured in the old way. */
  readonly oldMirrors: string | undefined
  /** The file by which the plugin is switched off, as Docker's package does it. */
  readonly disabledIn: string | undefined
  /** A file of version 3 or newer that has the settings where version 2 had them. */
  readonly misplacedIn: string | undefined
  /** containerd 2.1 and newer pull as older ones did. */
  readonly isLocalPull: boolean
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export async function readContainerdConfig(
  node: NodeRoot,
  path: string,
): Promise<ContainerdConfig> {
  const unreadable: string[] = []
  const config: Mutable<ContainerdConfig> = {
    version: undefined,
    plugin: imagePlugins.two,
    configPath: undefined,
    forgottenIn: undefined,
    unreadable,
    oldMirrors: undefined,
    disabledIn: undefined,
    misplacedIn: undefined,
    isLocalPull: false,
  }
  const pending = [path]
  const seen = new Set<string>()
  for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
    if (seen.has(file) || seen.size >= limits.nodeConfigFilesMax) continue
    seen.add(file)
    const text = await node.findText(file)
    if (text === undefined) continue
    const table = parseToml(text)
    if (table === undefined) {
      unreadable.push(file)
      continue
    }
    addFile(config, file, table)
    pending.push(...(await listImports(node, file, table['imports'])))
  }
  return config
}

function addFile(config: Mutable<ContainerdConfig>, file: string, table: TomlTable): void {
  const stated = table['version']
  const version = typeof stated === 'number' ? stated : (config.version ?? 1)
  if (config.version === undefined) {
    config.version = version
    config.plugin = pluginOf(version)
  }
  const disabled: unknown = table['disabled_plugins']
  if (Array.isArray(disabled) && disabled.some((name) => isImagePlugin(name))) {
    config.disabledIn = file
  }
  const plugins = table['plugins']
  if (!isTable(plugins)) return
  const own = plugins[pluginOf(version)]
  if (isTable(own)) addPlugin(config, file, own)
  const old = plugins[imagePlugins.two]
  if (version > 2 && isTable(old) && isTable(old['registry'])) config.misplacedIn = file
}

function addPlugin(config: Mutable<ContainerdConfig>, file: string, plugin: TomlTable): void {
  if (plugin['use_local_image_pull'] === true) config.isLocalPull = true
  const registry = isTable(plugin['registry']) ? plugin['registry'] : {}
  const path = registry['config_path']
  if (typeof path === 'string' && path !== '') {
    const directories = path.split(':').map((directory) => directory.replace(/(?<=.)\/+$/, ''))
    config.configPath = { directories, file }
    config.forgottenIn = undefined
  } else if (config.configPath !== undefined && config.plugin !== imagePlugins.three) {
    config.forgottenIn = file
  }
  const old = registry['mirrors']
  if (isTable(old) && Object.keys(old).length > 0) config.oldMirrors = file
}

function pluginOf(version: number): string {
  if (version > 2) return imagePlugins.three
  return version === 2 ? imagePlugins.two : imagePlugins.one
}

function isImagePlugin(name: unknown): boolean {
  return Object.values<unknown>(imagePlugins).includes(name)
}

/** Relative to the file that names them; a star stands for anything within one name. */
async function listImports(node: NodeRoot, file: string, imports: unknown): Promise<string[]> {
  if (!Array.isArray(imports)) return []
  const found: string[] = []
  for (const item of imports as readonly unknown[]) {
    if (typeof item !== 'string') continue
    const path = isAbsolute(item) ? item : join(dirname(file), item)
    if (!path.includes('*')) found.push(path)
    else found.push(...(await expandStar(node, path)))
  }
  return found
}

async function expandStar(node: NodeRoot, path: string): Promise<string[]> {
  const parts = basename(path).split('*')
  const pattern = new RegExp(`^${parts.map((part) => RegExp.escape(part)).join('.*')}$`)
  const names = await node.listNames(dirname(path))
  return names.filter((name) => pattern.test(name)).map((name) => join(dirname(path), name))
}
