// A registry in front of scripted upstreams, both over real sockets, and the questions that tests of
// the pull-through ask about them.

import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Gate, holding } from './fake-upstream-behaviours.ts'
import { type Behaviour, FakeUpstream, type FakeUpstreamOptions } from './fake-upstream.ts'
import type { Reply } from './http-client.ts'
import { type Blob, makeBlob } from './push-steps.ts'
import { RawConnection } from './raw-connection.ts'
import { type Registry, type RegistryOptions, startRegistry } from './start-registry.ts'

export interface SceneOptions {
  /** Of `registry_proxies`, beside the upstream's entry. */
  readonly settings?: object
  /** Of the upstream's entry, or of several ones. */
  readonly entries?: readonly object[]
  readonly upstream?: FakeUpstreamOptions
  readonly registry?: RegistryOptions
}

/** The text of a configuration file: YAML, as all JSON is. */
export function proxyConfig(registries: readonly object[], settings: object = {}): string {
  return JSON.stringify({ registry_proxies: { registries, ...settings } })
}

/** Gives a registry that was started with a configuration another one, and waits until it is in force. */
export async function configure(registry: Registry, config: string): Promise<void> {
  const from = registry.logLength
  await writeFile(registry.configFile, config)
  registry.signal('SIGHUP')
  await registry.logged(({ msg }) => msg === 'configuration reloaded', from)
}

/** Where a repository of an upstream is found, with containerd's spelling of the port. */
export function pathOf({ host }: Pick<FakeUpstream, 'host'>, repository: string): string {
  return `/v2/f/${host.replace(':', '_')}_/${repository}`
}

export async function startScene(options: SceneOptions = {}): Promise<Scene> {
  const upstream = await FakeUpstream.start(options.upstream)
  try {
    const { entries = [{}], settings } = options
    const registries = entries.map((entry) => ({ host: upstream.host, insecure: true, ...entry }))
    const config = proxyConfig(registries, settings)
    return new Scene(upstream, await startRegistry({ ...options.registry, config }))
  } catch (error) {
    await upstream[Symbol.asyncDispose]()
    throw error
  }
}

export class Scene implements AsyncDisposable {
  readonly upstream: FakeUpstream
  readonly registry: Registry
  /** Of the upstream, also when it is gone. */
  readonly host: string

  constructor(upstream: FakeUpstream, registry: Registry) {
    this.upstream = upstream
    this.host = upstream.host
    this.registry = registry
  }

  path(kind: 'manifests' | 'blobs' | 'referrers', reference: string, repository = 'app'): string {
    return `${pathOf(this, repository)}/${kind}/${reference}`
  }

  manifest(reference: string, method = 'GET'): Promise<Reply> {
    return this.registry.request(method, this.path('manifests', reference))
  }

  blob(digest: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.registry.request('GET', this.path('blobs', digest), { headers })
  }

  /** A client has all of a blob a moment before it is durably stored: this waits for that. */
  async kept(digest: string): Promise<void> {
    await this.registry.logged((line) => line.msg === 'blob cached' && line['digest'] === digest)
  }

  /** The tags that are listed. */
  async tags(repository = 'app'): Promise<string[]> {
    const reply = await this.registry.request('GET', `${pathOf(this, repository)}/tags/list`)
    return (reply.json() as { tags: string[] }).tags
  }

  /** A GET of a blob that is read at leisure. */
  async openBlob(digest: string, headers: Record<string, string> = {}): Promise<RawConnection> {
    const connection = await RawConnection.open(this.registry.url)
    connection.writeHead('GET', this.path('blobs', digest), headers)
    return connection
  }

  /** How many of the upstream's requests fit `GET /v2/app/blobs/sha256:...`. */
  count(fits: RegExp): number {
    return this.upstream.log.filter((line) => fits.test(line)).length
  }

  /** Adds a blob to `app`. */
  addBlob(seed: string, size: number): Blob {
    const blob = makeBlob(seed, size)
    this.upstream.content.addBlob('app', blob.bytes)
    return blob
  }

  /** Adds a blob to `app` whose transfers pause after `heldAt` bytes until the gate is open. */
  addHeldBlob(seed: string, size: number, heldAt: number): HeldBlob {
    const blob = this.addBlob(seed, size)
    const gate = new Gate()
    this.upstream.use(holding(gate, heldAt), { on: new RegExp(`blobs/${blob.digest}`) })
    return { ...blob, gate }
  }

  /** Names of what is being fetched, or was left there. */
  listStaged(): Promise<string[]> {
    return readdir(join(this.registry.dataDirectory, 'uploads'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]()
    await this.upstream[Symbol.asyncDispose]()
  }
}

export interface HeldBlob extends Blob {
  readonly gate: Gate
}

/** One behaviour for each request, in this order; then no more. */
export function inTurn(...behaviours: readonly Behaviour[]): Behaviour {
  let turn = 0
  return (request, next) => {
    const behaviour = behaviours[turn]
    turn += 1
    return behaviour === undefined ? next() : behaviour(request, next)
  }
}

export function messageOf(reply: Reply): { code: string; message: string; detail: unknown } {
  const { errors } = reply.json() as {
    errors: [{ code: string; message: string; detail: unknown }]
  }
  return errors[0]
}
