// A node of a cluster, as far as pulling goes: a new containerd with the registry under test as its
// mirror for all registries, which pulls one image and is gone.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Registry } from '../support/clients.ts'
import { containerdPrograms, ctrPull, startContainerd } from '../support/containerd.ts'
import type { ContainerdEdition, ContainerdOptions } from '../support/containerd-config.ts'
import { criPull } from '../support/cri.ts'
import { requireTool } from '../support/tools.ts'
import { requireRoot } from './client-table.ts'

export interface NodeOptions {
  readonly edition: ContainerdEdition
  /** `cri` is what the kubelet uses. */
  readonly by: 'ctr' | 'cri'
  readonly chunkBytes?: number
  /** In `hosts.toml`, before the mirror. */
  readonly before?: string
  /** In `hosts.toml`, after its capabilities. */
  readonly more?: string
}

/** Skips the test, or fails it, when there is no such containerd, or when it cannot run here. */
export function requireNode(t: Pick<TestContext, 'skip'>, edition: ContainerdEdition): boolean {
  const { containerd, ctr } = containerdPrograms[edition]
  const isHere = [containerd, ctr].every((tool) => requireTool(t, tool) !== undefined)
  return isHere && requireRoot(t, 'containerd')
}

/** @returns the digest that the image has on the node. */
export async function pullOnNewNode(
  mirror: Registry,
  image: string,
  { edition, by, chunkBytes, before = '', more = '' }: NodeOptions,
): Promise<string> {
  await using resources = new AsyncDisposableStack()
  // Not below the scene's directory: the path of a socket has 107 characters at most.
  const directory = await mkdtemp(join(tmpdir(), 'trow-containerd-'))
  resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  const hosts = join(directory, 'certs.d')
  const url = urlOf(mirror)
  const form = `${before}[host."${url}"]\ncapabilities = ["pull", "resolve"]\n${more}`
  await mkdir(join(hosts, '_default'), { recursive: true })
  await writeFile(join(hosts, '_default', 'hosts.toml'), form)
  const options: ContainerdOptions = {
    edition,
    ...(by === 'cri' && { cri: { hosts } }),
    ...(chunkBytes !== undefined && { chunkBytes }),
    ...(mirror.tls && { trusted: mirror.tls.ca }),
  }
  const containerd = resources.use(await startContainerd(directory, options))
  if (by === 'cri') return await criPull(containerd.address, image)
  return await ctrPull(containerd, image, ['--hosts-dir', hosts], mirror)
}

export function urlOf({ registry, tls }: Registry): string {
  return `${tls ? 'https' : 'http'}://${registry}`
}
