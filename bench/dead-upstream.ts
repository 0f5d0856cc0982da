// Pulls of a cached image while its registry is gone: refusing connections, or silent.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Client } from './harness/client.ts'
import { Content, type StoredImage } from './harness/content.ts'
import { startNginx } from './harness/nginx.ts'
import { type CacheName, findOtherCaches, startCache } from './harness/pulling.ts'
import type { Server } from './harness/server.ts'
import { interleave, median, medianOf } from './harness/statistics.ts'

export const deadUpstream: Benchmark = {
  name: 'dead-upstream',
  title: 'Cache: pulls with a dead upstream',
  method:
    'Pulls by tag of a cached image with 4 layers of 1 MiB, one after the other, with the upstream ' +
    'there (each asks it, as `tag_ttl` is 0 s), then with one that is killed (refuses connections) or ' +
    'stopped (takes them and says nothing), in three rounds.',
  run: measureDeadUpstreams,
}

const MiB = 1024 * 1024

/** Milliseconds; NaN where a pull failed. */
interface Pulls {
  readonly warm: number
  readonly first: number
  readonly slowest: number
  readonly later: number
}

async function measureDeadUpstreams(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [MiB, MiB, MiB, MiB])
  const names = ['trow', ...findOtherCaches(bench)] as const
  const rows: string[][] = []
  const aims: Aim[] = []
  for (const how of ['killed', 'stopped'] as const) {
    const subjects = names.map((name) => ({
      name,
      measure: () => {
        bench.say(`${name}, ${how}`)
        return measurePulls(bench, content, { name, how, image })
      },
    }))
    const rounds = await interleave(bench.isQuick ? 1 : 3, subjects)
    const ofWarm = (name: string): number =>
      medianOf(rounds, name, (pulls) => pulls.later / pulls.warm)
    for (const name of names) {
      const times = (['warm', 'first', 'slowest', 'later'] as const).map((part) =>
        cellOf(
          medianOf(rounds, name, (pulls) => pulls[part]),
          1,
        ),
      )
      rows.push([how, name, ...times, cellOf(ofWarm(name), 2)])
    }
    aims.push({
      about: `${how}: later pulls of warm ones`,
      atMost: 1.2,
      measured: ofWarm('trow'),
      unit: 'x',
    })
  }
  const columns = ['upstream', 'cache', 'warm ms', 'first ms', 'slowest ms', 'later ms', 'of warm']
  return { tables: [{ columns, rows }], aims }
}

function cellOf(value: number, digits: number): string {
  if (Number.isNaN(value)) return digits === 1 ? 'fails' : '-'
  return value.toFixed(digits)
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
  const bounds = bench.isQuick ? { count: 10, seconds: 5 } : { count: 100, seconds: 20 }
  const warming = await pulls(() => client.pull(repository, image), bounds)
  const warm = await pulls(() => client.pull(repository, image), bounds)
  if ([...warming, ...warm].some(Number.isNaN)) throw new Error(`${name} cannot pull`)
  await end(upstream, how)
  const dead = await pulls(() => client.pull(repository, image), bounds)
  return {
    warm: median(warm),
    first: dead[0] ?? Number.NaN,
    slowest: Math.max(...dead),
    later: median(dead.slice(1)),
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
): Promise<number[]> {
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  while (times.length < count && performance.now() < end && !times.some(Number.isNaN)) {
    times.push(await pull().catch(() => Number.NaN))
  }
  return times
}
