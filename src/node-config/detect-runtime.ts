/** Which container runtime pulls on a node, by the directories that each of them has. */
import type { NodeRoot } from './node-root.ts'
import type { InstallableName } from './runtimes.ts'

/** In this order: what comes first has some of what comes after it. */
const signs: readonly (readonly [InstallableName, readonly string[]])[] = [
  ['rke2', ['/etc/rancher/rke2', '/var/lib/rancher/rke2']],
  ['k3s', ['/etc/rancher/k3s', '/var/lib/rancher/k3s']],
  ['crio', ['/etc/crio', '/run/crio']],
  ['containerd', ['/etc/containerd', '/run/containerd']],
  ['podman', ['/etc/containers']],
]

export async function detectRuntime(node: NodeRoot): Promise<InstallableName | undefined> {
  for (const [name, paths] of signs) {
    for (const path of paths) {
      if (await node.has(path)) return name
    }
  }
  return undefined
}
