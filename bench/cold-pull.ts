// The first pull of an image through the cache, beside a pull from its registry itself.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Client } from './harness/client.ts'
import { Content, pushImage, type StoredImage } from './harness/content.ts'
import { startDistribution } from './harness/distribution.ts'
import { startNginx } from './harness/nginx.ts'
import {
  type CacheName,
  findOtherCaches,
  parallelLayers,
  pullImage,
  startCache,
} from './harness/pulling.ts'
import type { Server } from './harness/server.ts'
import { interleave, median, medianOf, percentile, ratioOf } from './harness/statistics.ts'

export const coldPull: Benchmark = {
  name: 'cold-pull',
  title: 'Cache: cold pull',
  method:
    'An image of 1 GiB in 6 layers, 3 at a time (curl, bytes thrown away), directly from an upstream ' +
    'and through caches that are empty. First byte: one layer of 1 MiB after the other, from the ' +
    'request to the first byte of the body, minus the same without a cache.',
  run: measureColdPulls,
}

const MiB = 1024 * 1024
const gigabitBytesPerSecond = 125_000_000
const layers = 6

async function measureColdPulls(bench: Bench): Promise<Outcome> {
  const { isQuick } = bench
  const content = new Content(bench.scratch.directory('content'))
  const bytes = (isQuick ? 32 : 1024) * MiB
  const image = content.addImage(
    'bench/app',
    Array.from({ length: layers }, () => Math.ceil(bytes / layers)),
  )
  const small = content.addImage(
    'bench/small',
    Array.from({ length: isQuick ? 4 : 40 }, () => MiB),
  )
  const caches = ['trow', ...findOtherCaches(bench)] as const
  const slow = { asRegistry: true, bytesPerSecondMax: gigabitBytesPerSecond / parallelLayers }
  const upstreams = [
    { name: 'nginx at 1 Gbit/s', start: () => startNginx(bench, content, slow), atMost: 1.1 },
    { name: 'docker-registry', start: () => startFilled(bench, image), atMost: 1.1 },
    { name: 'nginx', start: () => startNginx(bench, content, { asRegistry: true }), atMost: 1.1 },
  ]
  const outcomes: Outcome[] = []
  for (const { name, start, atMost } of upstreams) {
    bench.say(`from ${name}`)
    await using upstream = await start()
    outcomes.push(await measureTotals(bench, { name, atMost, upstream, image, caches }))
  }
  const rows = outcomes.flatMap(({ tables }) => tables).flatMap((table) => table.rows)
  const columns = ['upstream', 'through', 'seconds', 'of direct', 'CPU s']
  await using upstream = await startNginx(bench, content, { asRegistry: true })
  bench.say('first bytes')
  const first = await measureFirstBytes(bench, upstream, small, caches)
  return {
    tables: [{ columns, rows }, ...first.tables],
    aims: [...outcomes.flatMap(({ aims }) => aims), ...first.aims],
  }
}

async function startFilled(bench: Bench, image: StoredImage): Promise<Server> {
  const server = await startDistribution(bench, 'docker-registry')
  await pushImage(server.url, image)
  return server
}

interface Totals {
  readonly name: string
  readonly atMost: number
  readonly upstream: Server
  readonly image: StoredImage
  readonly caches: readonly CacheName[]
}

interface Pull {
  readonly seconds: number
  readonly cpuSeconds: number
}

async function measureTotals(bench: Bench, totals: Totals): Promise<Outcome> {
  const { name, atMost, upstream, image, caches } = totals
  const direct = async (): Promise<Pull> => ({
    seconds: await pullImage(upstream.url, image.repository, image),
    cpuSeconds: 0,
  })
  const subjects = [
    { name: 'nothing', measure: direct },
    ...caches.map((cache) => ({
      name: cache,
      measure: () => pullThrough(bench, cache, upstream, image),
    })),
  ]
  const rounds = await interleave(bench.isQuick ? 1 : 3, subjects)
  const seconds = (pull: Pull): number => pull.seconds
  const rows = subjects.map((subject) => [
    name,
    subject.name,
    medianOf(rounds, subject.name, seconds).toFixed(2),
    ratioOf(rounds, [subject.name, 'nothing'], seconds).toFixed(2),
    medianOf(rounds, subject.name, ({ cpuSeconds }) => cpuSeconds).toFixed(2),
  ])
  const measured = ratioOf(rounds, ['trow', 'nothing'], seconds)
  const aims: Aim[] = [
    { about: `from ${name}, total time of a direct pull's`, atMost, measured, unit: 'x' },
  ]
  return { tables: [{ columns: [], rows }], aims }
}

async function pullThrough(
  bench: Bench,
  name: CacheName,
  upstream: Server,
  image: StoredImage,
): Promise<Pull> {
  await using cache = await startCache(bench, name, upstream)
  const before = cache.server.cpuSeconds()
  const repository = cache.nameOf(image.repository)
  const seconds = await pullImage(cache.server.url, repository, image)
  return { seconds, cpuSeconds: cache.server.cpuSeconds() - before }
}

async function measureFirstBytes(
  bench: Bench,
  upstream: Server,
  image: StoredImage,
  caches: readonly CacheName[],
): Promise<Outcome> {
  const direct = await firstBytes(upstream.url, image.repository, image)
  const rows = [rowOf('nothing', direct)]
  const aims: Aim[] = []
  for (const name of caches) {
    await using cache = await startCache(bench, name, upstream)
    const through = await firstBytes(cache.server.url, cache.nameOf(image.repository), image)
    rows.push(rowOf(name, through))
    if (name !== 'trow') continue
    const added = (pick: (values: number[]) => number): number => pick(through) - pick(direct)
    aims.push(
      { about: 'first byte later by, median', atMost: 20, measured: added(median), unit: ' ms' },
      {
        about: 'first byte later by, 95th percentile',
        atMost: 20,
        measured: added((values) => percentile(values, 95)),
        unit: ' ms',
      },
    )
  }
  const columns = ['through', 'first byte, median ms', '95th percentile ms']
  return { tables: [{ columns, rows }], aims }
}

function rowOf(name: string, values: readonly number[]): string[] {
  return [name, median(values).toFixed(1), percentile(values, 95).toFixed(1)]
}

/** Of each layer; the first pull of a process, which compiles and logs in, is the config's. */
async function firstBytes(url: string, repository: string, image: StoredImage): Promise<number[]> {
  using client = new Client(url)
  await client.get(`/v2/${repository}/manifests/${image.tag}`)
  const times: number[] = []
  for (const { digest } of image.blobs) {
    times.push((await client.get(`/v2/${repository}/blobs/${digest}`)).firstByteMs)
  }
  return times.slice(1)
}
