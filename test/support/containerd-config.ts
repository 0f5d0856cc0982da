// The configuration of a containerd of a test's own: all its files below one directory, the copying
// snapshotter, and content that namespaces do not share, so that a pull into a new one fetches
// everything. `current` has the plugins of containerd 2, `debian` those of 1.

import { join } from 'node:path'

/** `current` is the newest, `debian` what Debian ships (1.6 in Debian 12). */
export type ContainerdEdition = 'current' | 'debian'

export interface ContainerdOptions {
  readonly edition?: ContainerdEdition
  /** With the CRI plugin, by which the kubelet pulls; and where that finds its `hosts.toml` files. */
  readonly cri?: { readonly hosts: string }
  /** Layers in pieces of that many bytes, several at a time; containerd 2.1 and newer. */
  readonly chunkBytes?: number
  /** A PEM file with the authority that the machine trusts. */
  readonly trusted?: string
  /** `127.0.0.1:4711` of the HTTP proxy by which it reaches what is not on this machine. */
  readonly proxy?: string
}

const notHere = ['io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri']

const criPlugins = {
  current: [
    'io.containerd.cri.v1.images',
    'io.containerd.cri.v1.runtime',
    'io.containerd.grpc.v1.cri',
    'io.containerd.podsandbox.controller.v1.podsandbox',
  ],
  debian: ['io.containerd.grpc.v1.cri'],
}

export function containerdConfig(
  directory: string,
  address: string,
  options: ContainerdOptions,
): string {
  const { edition = 'current', cri } = options
  const disabled = [...notHere, ...(cri ? [] : criPlugins[edition])]
  const rest = edition === 'debian' ? debian : current
  return `version = ${edition === 'debian' ? 2 : 4}
root = '${join(directory, 'root')}'
state = '${join(directory, 'state')}'
imports = []
disabled_plugins = ${JSON.stringify(disabled)}
[plugins.'io.containerd.metadata.v1.bolt']
content_sharing_policy = 'isolated'
${rest(directory, address, options)}`
}

function debian(directory: string, address: string, { cri }: ContainerdOptions): string {
  return `[grpc]
address = '${address}'
[ttrpc]
address = '${address}.ttrpc'
${
  cri
    ? `[plugins.'io.containerd.grpc.v1.cri'.containerd]
snapshotter = 'native'
[plugins.'io.containerd.grpc.v1.cri'.cni]
conf_dir = '${join(directory, 'cni')}'
[plugins.'io.containerd.grpc.v1.cri'.registry]
config_path = '${cri.hosts}'
`
    : ''
}`
}

function current(
  directory: string,
  address: string,
  { cri, chunkBytes }: ContainerdOptions,
): string {
  const platform = `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`
  const chunks = `max_concurrent_downloads = 3
concurrent_layer_fetch_buffer = ${chunkBytes ?? 0}`
  return `[plugins.'io.containerd.server.v1.grpc']
address = '${address}'
[plugins.'io.containerd.server.v1.ttrpc']
address = '${address}.ttrpc'
[plugins.'io.containerd.transfer.v1.local']
${chunks}
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
platform = '${platform}'
snapshotter = 'native'
differ = 'walking'
${
  cri
    ? `[plugins.'io.containerd.cri.v1.images']
snapshotter = 'native'
${chunks}
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = '${cri.hosts}'
[plugins.'io.containerd.cri.v1.runtime'.cni]
conf_dir = '${join(directory, 'cni')}'
`
    : ''
}`
}
