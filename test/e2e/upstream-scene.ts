// A registry in front of another one: the image is in the upstream, whose requests are counted, and
// clients pull it through the registry under test.

import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { clients, type Registry, type Target } from '../support/clients.ts'
import type { ImageLayout } from '../support/real-image.ts'
import {
  type Login,
  type Registry as RunningRegistry,
  startRegistry,
} from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, requireTool } from '../support/tools.ts'
import {
  type LoggedRequest,
  startUpstream,
  type UpstreamOptions,
  type UpstreamRegistry,
} from '../support/upstream-registry.ts'

/** Characters that have a meaning in YAML, in a URL or in a header. */
export const deployer: Login = { name: 'deployer', password: 'p@ss: "word"/%41' }

export const repository = 'debian/base'
export const tag = 'slim'

const upstreamTools = ['docker-registry', 'htpasswd', 'skopeo'] as const

export function isUpstreamHere(): boolean {
  return upstreamTools.every((tool) => findTool(tool) !== undefined)
}

/** Skips the test, or fails it, when there is nothing to pull from. */
export function requireUpstream(t: Pick<TestContext, 'skip'>): boolean {
  return upstreamTools.every((tool) => requireTool(t, tool) !== undefined)
}

/** An upstream's content, pushed once; any number of upstreams are started on it. */
export interface UpstreamContent extends AsyncDisposable {
  readonly directory: string
  readonly storage: string
  /** @param isSecure over HTTPS, for `deployer` only. */
  open(isSecure: boolean): Promise<UpstreamScene>
}

export interface UpstreamScene extends AsyncDisposable {
  readonly upstream: UpstreamRegistry
  readonly registry: RunningRegistry
  /** The registry under test as a new client sees it. */
  client(): Promise<Registry>
  /** The upstream's image for a client that names the upstream in the path. */
  target(): Promise<Target>
}

export async function pushToUpstream(layout: ImageLayout): Promise<UpstreamContent> {
  await using resources = new AsyncDisposableStack()
  const { path: directory } = resources.use(await temporaryDirectory())
  const storage = join(directory, 'storage')
  {
    await using upstream = await startUpstream({ directory, storage })
    const client = await mkdtemp(join(directory, 'client-'))
    const target = { registry: upstream.host, directory: client, repository, tag }
    assert.equal(await clients.skopeo.push(layout, target), layout.digest)
  }
  const tls = issueCertificate(['127.0.0.1'])
  const ca = join(directory, 'ca.pem')
  await writeFile(ca, tls.ca)
  const opened = resources.move()
  return {
    directory,
    storage,
    open: async (isSecure) =>
      await openScene({ directory, storage, ...(isSecure && { tls, ca, login: deployer }) }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

type SceneOptions = UpstreamOptions & { readonly ca?: string }

async function openScene({ ca, ...options }: SceneOptions): Promise<UpstreamScene> {
  await using resources = new AsyncDisposableStack()
  const upstream = resources.use(await startUpstream(options))
  const { login } = options
  const entry = {
    host: upstream.host,
    ...(ca === undefined ? { insecure: true } : { ca_file: ca }),
    ...(login && { username: login.name, password: login.password }),
  }
  const config = JSON.stringify({ registry_proxies: { registries: [entry] } })
  const registry = resources.use(await startRegistry({ config }))
  const client = async () => ({
    registry: registry.host,
    directory: await mkdtemp(join(options.directory, 'client-')),
  })
  const opened = resources.move()
  return {
    upstream,
    registry,
    client,
    target: async () => ({
      ...(await client()),
      repository: `f/${upstream.hostInPath}/${repository}`,
      tag,
    }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** GETs of manifests and blobs that the upstream answered with content. */
export function transfers(requests: readonly LoggedRequest[]): string[] {
  return requests
    .filter(({ method, status }) => method === 'GET' && status >= 200 && status < 300)
    .map(({ path }) => path)
    .filter((path) => /\/(?:manifests|blobs)\//.test(path))
}

/** Pulls cold, warm, and with the upstream gone: the same image, and each thing fetched once. */
export async function pullThreeTimes(
  { upstream, registry }: Pick<UpstreamScene, 'upstream' | 'registry'>,
  layout: ImageLayout,
  pull: () => Promise<string>,
): Promise<void> {
  await upstream.takeRequests()
  assert.equal(await pull(), layout.digest, 'cold')
  const cold = transfers(await upstream.takeRequests())
  assert.ok(
    cold.some((path) => path.includes('/blobs/')),
    'the cold pull reached the upstream',
  )
  assert.deepEqual(cold, [...new Set(cold)], 'nothing was fetched twice')

  assert.equal(await pull(), layout.digest, 'warm')
  const warm = await upstream.takeRequests()
  assert.deepEqual(transfers(warm), [], 'warm')
  assert.ok(
    warm.some(({ method }) => method === 'HEAD'),
    'the tag was checked',
  )

  await upstream.kill()
  assert.equal(await pull(), layout.digest, 'with the upstream gone')
  const path = `/v2/f/${upstream.hostInPath}/${repository}/manifests/${tag}`
  const { headers } = await registry.request('HEAD', path)
  assert.equal(headers['x-cache'], 'STALE')
  assert.match(String(headers['warning']), /^299 /)
}
