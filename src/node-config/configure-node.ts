/**
 * Configures a node, looks at it, and takes everything away again. Each file is changed at once or not
 * at all, and what an interrupted run left is finished, or removed, by the next one.
 */
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  findOwned,
  type Installation,
  installFile,
  planFile,
  type Removal,
  restoreFile,
} from './node-file.ts'
import { explainFileErrors } from './node-error.ts'
import type { NodeRoot } from './node-root.ts'
import type { Findings, NodeSettings, Runtime } from './runtime.ts'
import { stagingName } from './staged-file.ts'

export interface FileChange {
  readonly path: string
  readonly change: Installation | Removal | 'missing' | 'changed'
}

export interface NodeReport extends Findings {
  readonly files: readonly FileChange[]
}

/** @throws StartError */
export function installOnNode(
  runtime: Runtime,
  settings: NodeSettings,
  node: NodeRoot,
): Promise<NodeReport> {
  return explainFileErrors(() => install(runtime, settings, node))
}

/** Whether the node is as it has to be, without changing anything. @throws StartError */
export function inspectNode(
  runtime: Runtime,
  settings: NodeSettings,
  node: NodeRoot,
): Promise<NodeReport> {
  return explainFileErrors(() => inspect(runtime, settings, node))
}

/** @throws StartError */
export function uninstallFromNode(runtime: Runtime, node: NodeRoot): Promise<FileChange[]> {
  return explainFileErrors(async () => {
    const places = await runtime.listPlaces(node)
    await clearStaging(node, places)
    return await restoreAll(node, places)
  })
}

async function install(
  runtime: Runtime,
  settings: NodeSettings,
  node: NodeRoot,
): Promise<NodeReport> {
  const wanted = await runtime.listWanted(settings, node)
  const paths = new Set(wanted.map(({ path }) => path))
  const places = await runtime.listPlaces(node)
  await clearStaging(node, [...paths, ...places])
  // An earlier installation may have been for other registries.
  const stale = places.filter((path) => !paths.has(path))
  const made = await listMadeDirectories(node, stale)
  const files: FileChange[] = []
  for (const file of wanted) {
    files.push({ path: file.path, change: await installFile(node, file, made) })
  }
  files.push(...(await restoreAll(node, stale)))
  return { files, ...(await runtime.inspect(settings, node)) }
}

async function inspect(
  runtime: Runtime,
  settings: NodeSettings,
  node: NodeRoot,
): Promise<NodeReport> {
  const files: FileChange[] = []
  for (const wanted of await runtime.listWanted(settings, node)) {
    const { owned, isCurrent } = await planFile(node, wanted)
    const changed = owned === undefined ? 'missing' : 'changed'
    files.push({ path: wanted.path, change: isCurrent ? 'unchanged' : changed })
  }
  return { files, ...(await runtime.inspect(settings, node)) }
}

async function listMadeDirectories(node: NodeRoot, paths: readonly string[]): Promise<string[]> {
  const owned = await Promise.all(paths.map((path) => findOwned(node, path)))
  return owned.map((file) => file?.madeDirectory).filter((directory) => directory !== undefined)
}

/** Files that directories were made for come last, the topmost of these at the end. */
async function restoreAll(node: NodeRoot, paths: readonly string[]): Promise<FileChange[]> {
  const depths = new Map<string, number>()
  for (const path of paths) {
    const owned = await findOwned(node, path)
    depths.set(path, owned?.madeDirectory?.length ?? Infinity)
  }
  const files: FileChange[] = []
  const deepestFirst = [...paths].sort((a, b) => (depths.get(b) ?? 0) - (depths.get(a) ?? 0))
  for (const path of deepestFirst) {
    const change = await restoreFile(node, path)
    if (change !== undefined) files.push({ path, change })
  }
  return files
}

async function clearStaging(node: NodeRoot, paths: readonly string[]): Promise<void> {
  const directories = new Set<string>()
  for (const path of paths) {
    for (let above = dirname(path); !directories.has(above); above = dirname(above)) {
      directories.add(above)
    }
  }
  for (const directory of directories) {
    for (const name of await node.listNames(directory)) {
      if (!stagingName.test(name)) continue
      await rm(await node.locate(join(directory, name)), { recursive: true, force: true })
    }
  }
}
