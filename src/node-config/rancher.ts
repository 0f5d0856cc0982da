/**
 * k3s and RKE2: `registries.yaml`, from which they write containerd's files when they start. The file
 * is the only one of its kind, so ours is what somebody else wrote with our endpoints before theirs.
 */
import { join } from 'node:path'
import { Document, isMap, isSeq, parseDocument } from 'yaml'
import { StartError } from '../lib/start-error.ts'
import { authorityFile, wantAuthority } from './authority-file.ts'
import type { NodeRoot } from './node-root.ts'
import {
  allRegistries,
  type Findings,
  type NodeSettings,
  type Runtime,
  type WantedFile,
} from './runtime.ts'

const hostsFile = 'hosts.toml'

export type RancherName = 'k3s' | 'rke2'

export class Rancher implements Runtime {
  readonly #name: RancherName

  constructor(name: RancherName) {
    this.#name = name
  }

  listWanted(settings: NodeSettings): Promise<WantedFile[]> {
    const file = this.#path('registries.yaml')
    const authority = this.#path(authorityFile)
    const wanted = wantAuthority(settings, authority)
    const ca = wanted.length > 0 ? authority : undefined
    const render = (before?: string) => formatRegistriesYaml(settings, { file, before, ca })
    return Promise.resolve([...wanted, { path: file, render }])
  }

  listPlaces(): Promise<string[]> {
    return Promise.resolve([this.#path('registries.yaml'), this.#path(authorityFile)])
  }

  /** What they made of the file when they started is where their containerd looks. */
  async inspect({ mirrors, registries }: NodeSettings, node: NodeRoot): Promise<Findings> {
    const made = `/var/lib/rancher/${this.#name}/agent/etc/containerd/certs.d`
    const restart = `restart ${this.#name}, on agents ${this.#name}-agent; containers go on running`
    const file = this.#path('registries.yaml')
    if (!(await node.has(made))) {
      return { problems: [], notes: [`${made} is not to be seen here; after a change ${restart}`] }
    }
    for (const registry of registries) {
      const directory = registry.replace(/:(\d+)$/, '_$1_')
      const text = (await node.findText(join(made, directory, hostsFile))) ?? ''
      if (mirrors.every(({ url }) => text.includes(url))) continue
      return { problems: [`${this.#name} has not read ${file} yet: ${restart}`], notes: [] }
    }
    return { problems: [], notes: [] }
  }

  #path(name: string): string {
    return `/etc/rancher/${this.#name}/${name}`
  }
}

interface Circumstances {
  readonly file: string
  readonly before: string | undefined
  /** Where the node has the authority. */
  readonly ca: string | undefined
}

/** @throws StartError for what cannot be read, as it would be lost. */
export function formatRegistriesYaml(
  { mirrors, registries, isFallingBack }: NodeSettings,
  { file, before, ca }: Circumstances,
): string {
  if (!isFallingBack) {
    throw new StartError(
      `${file} cannot say that the registry itself is not asked: start the node with ` +
        '--disable-default-registry-endpoint',
    )
  }
  const document = before === undefined ? new Document({}) : parseDocument(before)
  const wrong = new StartError(
    `${file} is no valid YAML with "mirrors" and "configs"; mend it first`,
  )
  if (document.errors.length > 0) throw wrong
  const put = (path: readonly string[], value: unknown): void => {
    // A key that somebody left without a value is as good as none.
    for (let length = 0; length < path.length; length++) {
      const above = path.slice(0, length)
      const found: unknown = document.getIn(above)
      if (isMap(found)) continue
      if (found !== undefined && found !== null) throw wrong
      document.setIn(above, document.createNode({}))
    }
    document.setIn(path, document.createNode(value))
  }
  for (const registry of registries) {
    const path = ['mirrors', registry === allRegistries ? '*' : registry, 'endpoint']
    const theirs: unknown = document.getIn(path)
    const kept: unknown = isSeq(theirs) ? theirs.toJSON() : []
    const all = [...mirrors.map(({ url }) => url), ...(kept as readonly unknown[])]
    put(path, [...new Set(all)])
  }
  for (const { authority, isSecure } of mirrors) {
    if (isSecure && ca !== undefined) put(['configs', authority, 'tls', 'ca_file'], ca)
  }
  return document.toString({ lineWidth: 0 })
}
