// Every client that pushes and pulls images, containerd's ctr among them, under the name of its
// program; and what a test needs to know to leave one out.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { clients, type Client } from '../support/clients.ts'
import { containerdClient, startContainerd } from '../support/containerd.ts'
import { findTool, requireTool } from '../support/tools.ts'

export const clientNames = [
  'skopeo',
  'podman',
  'buildah',
  'crane',
  'oras',
  'regctl',
  'ctr',
] as const

export type ClientName = (typeof clientNames)[number]

const isRoot = process.getuid?.() === 0

export function isClientHere(name: ClientName): boolean {
  if (name !== 'ctr') return findTool(name) !== undefined
  return isRoot && findTool('ctr') !== undefined && findTool('containerd') !== undefined
}

/** Skips the test, or fails it, when the client is missing, as `requireTool` does. */
export function requireClient(t: Pick<TestContext, 'skip'>, name: ClientName): boolean {
  if (requireTool(t, name) === undefined) return false
  if (name !== 'ctr') return true
  return requireTool(t, 'containerd') !== undefined && requireRoot(t, 'containerd')
}

/** Skips the test, or fails it, when not run as root. */
export function requireRoot(t: Pick<TestContext, 'skip'>, program: string): boolean {
  if (isRoot) return true
  const why = `${program} needs root`
  if (process.env['TROW_REQUIRE_CLIENTS'] === '1') throw new Error(why)
  t.skip(why)
  return false
}

/** The clients, with one containerd for all of ctr's calls, started by the first of them. */
export class ClientTable implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack()
  #ctr: Promise<Client> | undefined

  async get(name: ClientName): Promise<Client> {
    if (name !== 'ctr') return clients[name]
    this.#ctr ??= this.#startContainerd()
    return this.#ctr
  }

  async #startContainerd(): Promise<Client> {
    // Not below a test's directory: the path of a socket has 107 characters at most.
    const directory = await mkdtemp(join(tmpdir(), 'trow-containerd-'))
    this.#resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
    return containerdClient(this.#resources.use(await startContainerd(directory)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}
