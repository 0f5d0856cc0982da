// Pulls of a cached image while its registry is gone: refusing connections, or silent.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Client } from './harness/client.ts'
import { Content, type StoredImage } from './harness/content.ts'
import { startNginx } from './harness/nginx.ts'
import { type CacheName, findOtherCaches, startCache } from './harness/pulling.ts'
import type { Server } from './harness/server.ts'
import { median } from './harness/statistics.ts'

export const deadUpstream: Benchmark = {
  name: 'dead-upstream',
  title: 'Cache: pulls with a dead upstream',
  method:
    'Pulls by tag of a cached image with 4 layers of 1 MiB, one after the other, with the upstream ' +
    'there (each asks it, as `tag_ttl` is 0 s), then with one that is killed (refuses connections) or ' +
    'stopped (takes them and says nothing).',
  run: measureDeadUpstreams,
}

const MiB = 1024 * 1024

interface Pulls {
  readonly warm: number
  /** Undefined: the pull failed. */
  readonly first: number | undefined
  readonly slowest: number | undefined
  readonly later: number | undefined
}

async function measureDeadUpstreams(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [MiB, MiB, MiB, MiB])
  const rows: string[][] = []
  const aims: Aim[] = []
  for (const how of ['killed', 'stopped'] as const) {
    for (const name of ['trow', ...findOtherCaches(bench)] as const) {
      bench.say(`${name}, ${how}`)
      const pulls = await measurePulls(bench, content, { name, how, image })
      rows.push([how, name, ...cellsOf(pulls)])
      if (name !== 'trow') continue
      const measured = (pulls.later ?? Number.POSITIVE_INFINITY) / pulls.warm
      aims.push({ about: `${how}: later pulls of warm ones`, atMost: 1.2, measured, unit: 'x' })
    }
  }
  const columns = ['upstream', 'cache', 'warm ms', 'first ms', 'slowest ms', 'later ms', 'of warm']
  return { tables: [{ columns, rows }], aims }
}

function cellsOf({ warm, first, slowest, later }: Pulls): string[] {
  const cell = (value: number | undefined): string => value?.toFixed(1) ?? 'fails'
  const ratio = later === undefined ? '-' : (later / warm).toFixed(2)
  return [cell(warm), cell(first), cell(slowest), cell(later), ratio]
}

interface Scene {
  readonly name: CacheName
  readonly how: 'killed' | 'stopped'
  readonly image: StoredImage
}

async function measurePulls(bench: Bench, content: Content, scene: Scene): Promise<Pulls> {
  const { name, how, image } = scene
  await using upstream = await startNginx(bench, content, { asRegistry: true })
  await using cache = await startCache(bench, name, upstream)
  using client = new Client(cache.server.url)
  const repository = cache.nameOf(image.repository)
  const bounds = bench.isQuick ? { count: 10, seconds: 5 } : { count: 100, seconds: 60 }
  const warming = await pulls(() => client.pull(repository, image), bounds)
  const warm = await pulls(() => client.pull(repository, image), bounds)
  if (warming.includes(undefined) || warm.includes(undefined))
    throw new Error(`${name} cannot pull`)
  await end(upstream, how)
  const dead = await pulls(() => client.pull(repository, image), bounds)
  return {
    warm: median(present(warm)),
    first: dead[0],
    slowest: dead.includes(undefined) ? undefined : Math.max(...present(dead)),
    later: dead.includes(undefined) ? undefined : median(present(dead.slice(1))),
  }
}

async function end(upstream: Server, how: Scene['how']): Promise<void> {
  if (how === 'killed') await upstream.kill()
  else upstream.signal('SIGSTOP')
}

/** Fewer when they take long; stops at the first one that fails. */
async function pulls(
  pull: () => Promise<number>,
  { count, seconds }: { readonly count: number; readonly seconds: number },
): Promise<(number | undefined)[]> {
  const times: (number | undefined)[] = []
  const end = performance.now() + seconds * 1000
  while (times.length < count && performance.now() < end) {
    const time = await pull().catch(() => undefined)
    times.push(time)
    if (time === undefined) break
  }
  return times
}

function present(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined)
}
