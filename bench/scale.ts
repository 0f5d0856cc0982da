// What a large registry costs: the same requests to one with a million blobs and to one with next to
// nothing, one after the other, and how long each takes to start.

import { join } from 'node:path'
import type { Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Client } from './harness/client.ts'
import { Content, pushImage, type StoredImage } from './harness/content.ts'
import { enlargeDatabase, type Size } from './harness/large-database.ts'
import { pushBlobs } from './harness/pushing.ts'
import type { Server } from './harness/server.ts'
import { interleave, median, medianOf, ratioOf } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'

export const scale: Benchmark = {
  name: 'scale',
  title: 'A large registry',
  method:
    'A registry with 100,000 tags in one repository, 10,000 repositories and 1,000,000 blobs beside one ' +
    'with 200 of each: the time from the start of the process to its first answer, pages of 100 from the ' +
    'middle, manifests by ever other tags, and pushes of blobs of 4 KiB, one after the other.',
  run: measureScale,
}

const large: Size = { tags: 100_000, repositories: 10_000, blobs: 1_000_000 }
const small: Size = { tags: 200, repositories: 200, blobs: 200 }
const roundCount = 5
const requestsPerRound = 100

interface Registry {
  readonly name: string
  readonly size: Size
  readonly readyMs: number
  readonly server: Server
}

async function measureScale(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [1_000])
  const size = bench.isQuick ? { tags: 2_000, repositories: 1_000, blobs: 10_000 } : large
  const few = await startFilled(bench, image, { name: 'small', size: small })
  await using smallServer = few.server
  const many = await startFilled(bench, image, { name: 'large', size })
  await using largeServer = many.server
  void [smallServer, largeServer]
  const aims = [
    { about: 'large: ready after', atMost: 1_000, measured: many.readyMs, unit: ' ms' },
  ] as Outcome['aims'][number][]
  const rows = [
    [
      'ready',
      few.readyMs.toFixed(0),
      many.readyMs.toFixed(0),
      (many.readyMs / few.readyMs).toFixed(2),
    ],
  ]
  for (const [about, work] of Object.entries(requests)) {
    bench.say(about)
    const rounds = await interleave(bench.isQuick ? 1 : roundCount, [
      { name: 'small', measure: () => work(few, image) },
      { name: 'large', measure: () => work(many, image) },
    ])
    const measured = ratioOf(rounds, ['large', 'small'], Number)
    const times = ['small', 'large'].map((name) => medianOf(rounds, name, Number).toFixed(2))
    rows.push([about, ...times, measured.toFixed(2)])
    aims.push({ about: `${about}, time of a small registry's`, atMost: 2, measured, unit: 'x' })
  }
  return { tables: [{ columns: ['request', 'small ms', 'large ms', 'of small'], rows }], aims }
}

/** An image is pushed to it, it is stopped, its database is filled, and it is started again. */
async function startFilled(
  bench: Bench,
  image: StoredImage,
  { name, size }: { name: string; size: Size },
): Promise<Registry> {
  bench.say(`filling the ${name} one`)
  const dataDirectory = join(bench.scratch.directory(`data of ${name}`), 'data')
  await using empty = await startTrow(bench, { dataDirectory })
  await pushImage(empty.url, image)
  await empty.stop()
  enlargeDatabase(dataDirectory, image.repository, size)
  const started = performance.now()
  const server = await startTrow(bench, { dataDirectory })
  return { name, size, readyMs: performance.now() - started, server }
}

type Request = (registry: Registry, image: StoredImage) => Promise<number>

/** Milliseconds, the median of a round. */
const requests: Record<string, Request> = {
  'page of tags': (registry, { repository }) =>
    timeGets(registry, () => {
      const last = `tag-${padded(registry.size.tags / 2)}`
      return `/v2/${repository}/tags/list?n=100&last=${last}`
    }),
  'page of the catalog': (registry) =>
    timeGets(registry, () => {
      const last = `many/repository-${padded(registry.size.repositories / 2)}`
      return `/v2/_catalog?n=100&last=${last}`
    }),
  'GET of a manifest': (registry, { repository }) =>
    timeGets(registry, () => {
      const number = Math.floor(Math.random() * registry.size.tags)
      return `/v2/${repository}/manifests/tag-${padded(number)}`
    }),
  'push of 4 KiB': async ({ server }) => {
    const count = requestsPerRound
    const load = { repository: 'bench/pushed', blobBytes: 4_096, count, parallel: 1 }
    const { seconds } = await pushBlobs({ url: server.url, ...load })
    return (seconds * 1000) / count
  },
}

async function timeGets({ server }: Registry, nextPath: () => string): Promise<number> {
  using client = new Client(server.url)
  const times: number[] = []
  for (let count = 0; count < requestsPerRound; count += 1) {
    times.push((await client.get(nextPath())).totalMs)
  }
  return median(times)
}

function padded(number: number): string {
  return String(number).padStart(6, '0')
}
