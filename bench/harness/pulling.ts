// Caches of other registries as benchmarks see them: Trow, distribution's proxy mode and zot's sync on demand by
// one interface, and pulling a large image from any of them or from the upstream itself.

import { rm } from 'node:fs/promises'
import type { Bench } from './bench.ts'
import type { StoredImage } from './content.ts'
import { type Distribution, findDistributions, startDistribution } from './distribution.ts'
import { curl } from './load.ts'
import type { Server } from './server.ts'
import { cachedRepository, startTrow, type TrowOptions } from './trow.ts'
import { hasZot, startZot } from './zot.ts'

export type OtherCache = Distribution | 'zot'
export type CacheName = 'trow' | OtherCache

/** Those that are here; what is not is noted. */
export function findOtherCaches(bench: Bench): OtherCache[] {
  return [...findDistributions(bench), ...(hasZot(bench) ? (['zot'] as const) : [])]
}

export interface Cache extends AsyncDisposable {
  readonly server: Server
  /** What a repository of the upstream is called here. */
  readonly nameOf: (repository: string) => string
}

export async function startCache(
  bench: Bench,
  name: CacheName,
  upstream: Server,
  options: Pick<TrowOptions, 'tagTtlSeconds'> = {},
): Promise<Cache> {
  const server = await startServer(bench, name, upstream, options)
  return {
    server,
    nameOf: (repository) => (name === 'trow' ? cachedRepository(upstream, repository) : repository),
    [Symbol.asyncDispose]: async () => {
      await server.stop()
      await rm(server.directory, { recursive: true, force: true })
    },
  }
}

async function startServer(
  bench: Bench,
  name: CacheName,
  upstream: Server,
  options: Pick<TrowOptions, 'tagTtlSeconds'>,
): Promise<Server> {
  if (name === 'trow') return await startTrow(bench, { ...options, upstreams: [upstream.host] })
  if (name === 'zot') return await startZot(bench, { syncOf: upstream.url })
  return await startDistribution(bench, name, { proxyOf: upstream.url })
}

/** Layers that containerd fetches at a time. */
export const parallelLayers = 3

/** The manifest, then the blobs, as containerd does; the bytes go nowhere. @returns seconds. */
export async function pullImage(
  url: string,
  repository: string,
  image: StoredImage,
): Promise<number> {
  const started = performance.now()
  await curl(url, [`/v2/${repository}/manifests/${image.tag}`])
  const paths = image.blobs.map(({ digest }) => `/v2/${repository}/blobs/${digest}`)
  const { bytes } = await curl(url, paths, { parallel: parallelLayers })
  const expected = image.blobs.reduce((sum, { size }) => sum + size, 0)
  if (bytes !== expected) throw new Error(`pulled ${bytes} bytes, expected ${expected}`)
  return (performance.now() - started) / 1000
}
