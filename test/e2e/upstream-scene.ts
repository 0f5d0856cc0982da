// A registry in front of another one: the image is in the upstream, whose requests are counted, and
// clients pull it through the registry under test.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { clients, type Registry, type Target } from '../support/clients.ts'
import { startOlareg } from '../support/olareg.ts'
import type { ImageLayout } from '../support/real-image.ts'
import {
  type Login,
  type Registry as RunningRegistry,
  startRegistry,
} from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, requireTool, type ToolName } from '../support/tools.ts'
import { type LoggedRequest, startUpstream, type Upstream } from '../support/upstream-registry.ts'

/** Characters that have a meaning in YAML, in a URL or in a header. */
export const deployer: Login = { name: 'deployer', password: 'p@ss: "word"/%41' }

export const repository = 'debian/base'
export const tag = 'slim'

/** The other registries; each but `open` is for `deployer` only. */
export const upstreamKinds = {
  open: 'docker-registry over HTTP, anonymous',
  password: 'docker-registry over HTTPS, with user and password',
  tokens: 'olareg over HTTP, with tokens',
} as const

export type UpstreamKind = keyof typeof upstreamKinds

const toolsOf: Readonly<Record<UpstreamKind, readonly ToolName[]>> = {
  open: ['docker-registry', 'skopeo'],
  password: ['docker-registry', 'htpasswd', 'skopeo'],
  tokens: ['olareg', 'htpasswd', 'skopeo'],
}

export function isUpstreamHere(kind: UpstreamKind): boolean {
  return toolsOf[kind].every((tool) => findTool(tool) !== undefined)
}

/** Skips the test, or fails it, when there is nothing to pull from. */
export function requireUpstream(t: Pick<TestContext, 'skip'>, kind: UpstreamKind): boolean {
  return toolsOf[kind].every((tool) => requireTool(t, tool) !== undefined)
}

/** An upstream's content, pushed once; any number of upstreams are started on it. */
export interface UpstreamContent extends AsyncDisposable {
  open(options?: SceneOptions): Promise<UpstreamScene>
}

interface SceneOptions {
  /** The name that the registry under test, and so its clients, have for the upstream. */
  readonly name?: string
  /** More of `registry_proxies`. */
  readonly proxies?: object
  /** The registry under test is reached over HTTPS. */
  readonly isSecure?: boolean
}

export interface UpstreamScene extends AsyncDisposable {
  readonly upstream: Upstream
  /** What images of the upstream are called: its host, or the name that was given. */
  readonly name: string
  readonly registry: RunningRegistry
  /** The login for the upstream itself, and the authority to trust. */
  readonly access: Pick<Registry, 'tls' | 'auth'>
  /** The registry under test as a new client sees it. */
  client(): Promise<Registry>
  /** The upstream's image for a client that names the upstream in the path. */
  target(): Promise<Target>
}

export async function pushToUpstream(
  layout: ImageLayout,
  kind: UpstreamKind,
): Promise<UpstreamContent> {
  await using resources = new AsyncDisposableStack()
  const { path: directory } = resources.use(await temporaryDirectory())
  const place = await preparePlace(directory, kind)
  {
    await using upstream = await place.start()
    const client = await mkdtemp(join(directory, 'client-'))
    const target = { registry: upstream.host, directory: client, repository, tag, ...place.access }
    assert.equal(await clients.skopeo.push(layout, target), layout.digest)
  }
  const opened = resources.move()
  return {
    open: (options = {}) => openScene(place, options),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** Where an upstream is, and how to get in. */
interface Place extends Pick<UpstreamScene, 'access'> {
  readonly directory: string
  /** What `registry_proxies.registries` says of it, besides its name. */
  readonly settings: object
  readonly start: () => Promise<Upstream>
}

async function preparePlace(directory: string, kind: UpstreamKind): Promise<Place> {
  const storage = join(directory, 'storage')
  await mkdir(storage)
  const where = { directory, storage }
  const login = { username: deployer.name, password: deployer.password }
  if (kind === 'open') {
    const settings = { insecure: true }
    return { directory, settings, access: {}, start: () => startUpstream(where) }
  }
  if (kind === 'tokens') {
    const settings = { insecure: true, ...login }
    const start = () => startOlareg({ ...where, login: deployer })
    return { directory, settings, access: { auth: login }, start }
  }
  const tls = issueCertificate(['127.0.0.1'])
  const ca = join(directory, 'ca.pem')
  await writeFile(ca, tls.ca)
  const settings = { ca_file: ca, ...login }
  const start = () => startUpstream({ ...where, tls, login: deployer })
  return { directory, settings, access: { tls: { ca }, auth: login }, start }
}

async function openScene(
  { directory, settings, access, start }: Place,
  { name, proxies, isSecure = false }: SceneOptions,
): Promise<UpstreamScene> {
  await using resources = new AsyncDisposableStack()
  const upstream = resources.use(await start())
  const own = { host: upstream.host, ...settings }
  const registries = name === undefined ? [own] : [{ host: name, endpoints: [own.host] }, own]
  const config = JSON.stringify({ registry_proxies: { registries, ...proxies } })
  const tls = isSecure ? issueCertificate(['127.0.0.1']) : undefined
  // Several scenes on the same content have an authority each.
  const ca = join(await mkdtemp(join(directory, 'registry-')), 'ca.pem')
  if (tls) await writeFile(ca, tls.ca)
  const registry = resources.use(await startRegistry({ config, ...(tls && { tls }) }))
  const client = async () => ({
    registry: registry.host,
    ...(tls && { tls: { ca } }),
    directory: await mkdtemp(join(directory, 'client-')),
  })
  const path = pathOf(name ?? upstream.host)
  const opened = resources.move()
  return {
    upstream,
    name: name ?? upstream.host,
    registry,
    access,
    client,
    target: async () => ({ ...(await client()), repository: path, tag }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** The repository on a registry that is named in the path, where a port cannot have a colon. */
export function pathOf(upstream: string): string {
  return `f/${upstream.replace(':', '_')}/${repository}`
}

/** GETs of manifests, blobs and tokens that the upstream answered with content. */
export function transfers(requests: readonly LoggedRequest[]): string[] {
  return requests
    .filter(({ method, status }) => method === 'GET' && status >= 200 && status < 300)
    .map(({ path }) => path)
    .filter((path) => /\/(?:manifests|blobs|token)\b/.test(path))
}

/** Pulls cold, warm, and with the upstream gone: the same image, and each thing fetched once. */
export async function pullThreeTimes(
  { upstream, registry, name }: Pick<UpstreamScene, 'upstream' | 'registry' | 'name'>,
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
  const { headers } = await registry.request('HEAD', `/v2/${pathOf(name)}/manifests/${tag}`)
  assert.equal(headers['x-cache'], 'STALE')
  assert.match(String(headers['warning']), /^299 /)
}
