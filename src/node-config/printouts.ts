/**
 * What is printed for a runtime: the files that `install` would write on a node that has none yet, and,
 * where a node is configured by settings of its own (Bottlerocket, Talos) or by a file that belongs to
 * somebody (Docker), what to put there.
 */
import { stringify } from 'yaml'
import { StartError } from '../lib/start-error.ts'
import { type BottlerocketForm, formatBottlerocket } from './bottlerocket.ts'
import type { NodeRoot } from './node-root.ts'
import { allRegistries, type NodePlaces, type NodeSettings } from './runtime.ts'
import { type InstallableName, installableNames, makeRuntime } from './runtimes.ts'

export const printableNames = [...installableNames, 'bottlerocket', 'docker', 'talos'] as const

export type PrintableName = (typeof printableNames)[number]

export interface Printout {
  /** A file's path, or whose words they are. */
  readonly title: string
  readonly text: string
}

export interface PrintOptions {
  readonly node: NodeRoot
  readonly places: NodePlaces
  /** For Bottlerocket. */
  readonly form: BottlerocketForm
}

/** @throws StartError for what the runtime has no setting for. */
export async function printFor(
  name: PrintableName,
  settings: NodeSettings,
  { node, places, form }: PrintOptions,
): Promise<readonly Printout[]> {
  switch (name) {
    case 'bottlerocket':
      return [{ title: `Bottlerocket: ${form}`, text: formatBottlerocket(settings, form) }]
    case 'talos':
      return [{ title: 'machine configuration of Talos', text: formatTalos(settings) }]
    case 'docker':
      return [{ title: '/etc/docker/daemon.json', text: formatDaemonJson(settings) }]
    case 'containerd':
    case 'crio':
    case 'k3s':
    case 'podman':
    case 'rke2':
      return await printFiles(name, settings, { node, places })
  }
}

async function printFiles(
  name: InstallableName,
  settings: NodeSettings,
  { node, places }: Pick<PrintOptions, 'node' | 'places'>,
): Promise<Printout[]> {
  const wanted = await makeRuntime(name, places).listWanted(settings, node)
  return wanted.map(({ path, render }) => ({ title: path, text: render(undefined) }))
}

/** One document for each registry, from Talos 1.12 on. */
function formatTalos({ mirrors, registries, ca, isFallingBack }: NodeSettings): string {
  const documents: object[] = registries.map((registry) => ({
    apiVersion: 'v1alpha1',
    kind: 'RegistryMirrorConfig',
    name: registry === allRegistries ? '*' : registry,
    endpoints: mirrors.map(({ url }) => ({ url })),
    ...(!isFallingBack && { skipFallback: true }),
  }))
  for (const { authority, isSecure } of mirrors) {
    if (!isSecure || ca === undefined) continue
    documents.push({ apiVersion: 'v1alpha1', kind: 'RegistryTLSConfig', name: authority, ca })
  }
  return documents.map((document) => stringify(document)).join('---\n')
}

/** Docker knows mirrors for Docker Hub only. */
function formatDaemonJson({ mirrors, isFallingBack }: NodeSettings): string {
  if (!isFallingBack) throw noSetting('Docker', '--no-fallback')
  const insecure = mirrors.filter(({ isSecure }) => !isSecure).map(({ authority }) => authority)
  const settings = {
    'registry-mirrors': mirrors.map(({ url }) => url),
    ...(insecure.length > 0 && { 'insecure-registries': insecure }),
  }
  return `${JSON.stringify(settings, undefined, 2)}\n`
}

function noSetting(runtime: string, flag: string): StartError {
  return new StartError(`${runtime} has no setting for ${flag}`, { exitCode: 2 })
}
