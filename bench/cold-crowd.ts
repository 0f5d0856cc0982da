// Many nodes that want the same new image at the same time: the morning of a rollout.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Content, type StoredImage } from './harness/content.ts'
import { type NginxOptions, requestsOf, startNginx } from './harness/nginx.ts'
import {
  type CacheName,
  findOtherCaches,
  parallelLayers,
  pullImage,
  startCache,
} from './harness/pulling.ts'
import type { Server } from './harness/server.ts'
import { interleave, medianOf, ratioOf } from './harness/statistics.ts'

export const coldCrowd: Benchmark = {
  name: 'cold-crowd',
  title: 'Cache: 32 clients, one cold image',
  method:
    'An image of 256 MiB in 3 layers, pulled by one client and by 32 at the same time through caches ' +
    'that are empty. Transfers: GETs of layers that reached the upstream, per layer.',
  run: measureCrowds,
}

const MiB = 1024 * 1024
const crowd = 32
const layers = 3

interface Pulled {
  /** NaN: some of the pulls failed. */
  readonly seconds: number
  /** Per layer. */
  readonly transfers: number
}

interface Scene {
  readonly name: string
  readonly nginx: NginxOptions
  readonly atMost?: number
}

const scenes: readonly Scene[] = [
  {
    name: '25 MB/s',
    nginx: { asRegistry: true, bytesPerSecondMax: 25_000_000 / parallelLayers },
    atMost: 1.3,
  },
  {
    name: '100 MB/s',
    nginx: { asRegistry: true, bytesPerSecondMax: 100_000_000 / parallelLayers },
    atMost: 1.3,
  },
  { name: 'unlimited', nginx: { asRegistry: true } },
]

async function measureCrowds(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const bytes = (bench.isQuick ? 12 : 256) * MiB
  const image = content.addImage(
    'bench/app',
    Array.from({ length: layers }, () => Math.ceil(bytes / layers)),
  )
  const peers = findOtherCaches(bench)
  const rows: string[][] = []
  const aims: Aim[] = []
  for (const scene of scenes) {
    bench.say(`upstream ${scene.name}`)
    await using upstream = await startNginx(bench, content, scene.nginx)
    const subjects = [
      // What this machine can do: the limits are for each connection, so only without one.
      ...(scene.nginx.bytesPerSecondMax === undefined ? [direct(upstream, image)] : []),
      subject(bench, { cache: 'trow', clients: 1 }, upstream, image),
      ...['trow' as const, ...peers].map((cache) =>
        subject(bench, { cache, clients: crowd }, upstream, image),
      ),
    ]
    const rounds = await interleave(bench.isQuick ? 1 : 2, subjects)
    const seconds = (pulled: Pulled): number => pulled.seconds
    const transfers = (pulled: Pulled): number => pulled.transfers
    const [one, many] = [nameOf('trow', 1), nameOf('trow', crowd)]
    for (const { name } of subjects) {
      rows.push([
        scene.name,
        name,
        cell(medianOf(rounds, name, seconds)),
        cell(ratioOf(rounds, [name, one], seconds)),
        medianOf(rounds, name, transfers).toFixed(1),
      ])
    }
    aims.push(
      {
        about: `${scene.name}: transfers from the upstream`,
        atMost: 1,
        measured: medianOf(rounds, many, transfers),
        unit: '',
      },
      {
        about: `${scene.name}: total time of one client's`,
        ...(scene.atMost !== undefined && { atMost: scene.atMost }),
        measured: ratioOf(rounds, [many, one], seconds),
        unit: 'x',
      },
    )
  }
  const columns = ['upstream', 'through', 'seconds', 'of one client', 'transfers']
  return { tables: [{ columns, rows }], aims }
}

function cell(value: number): string {
  return Number.isNaN(value) ? 'fails' : value.toFixed(2)
}

function nameOf(cache: string, clients: number): string {
  return `${cache}, ${clients} client${clients === 1 ? '' : 's'}`
}

function subject(
  bench: Bench,
  { cache: name, clients }: { readonly cache: CacheName; readonly clients: number },
  upstream: Server,
  image: StoredImage,
): { name: string; measure: () => Promise<Pulled> } {
  const measure = async (): Promise<Pulled> => {
    await using cache = await startCache(bench, name, upstream)
    const repository = cache.nameOf(image.repository)
    upstream.takeLog()
    const pulls = Array.from({ length: clients }, () =>
      pullImage(cache.server.url, repository, image),
    )
    const results = await Promise.allSettled(pulls)
    const failures = results.filter((result) => result.status === 'rejected')
    const times = results.map((result) =>
      result.status === 'fulfilled' ? result.value : Number.NaN,
    )
    if (failures.length > 0) {
      // Of Trow it would be an error to be mended; of others it is what there is to say.
      if (name === 'trow') throw failures[0]?.reason
      bench.notes.add(`${name} failed ${failures.length} of ${clients} pulls in a round`)
    }
    return { seconds: Math.max(...times), transfers: countTransfers(upstream, image) }
  }
  return { name: nameOf(name, clients), measure }
}

function direct(
  upstream: Server,
  image: StoredImage,
): { name: string; measure: () => Promise<Pulled> } {
  const measure = async (): Promise<Pulled> => {
    upstream.takeLog()
    const pulls = Array.from({ length: crowd }, () =>
      pullImage(upstream.url, image.repository, image),
    )
    const seconds = Math.max(...(await Promise.all(pulls)))
    return { seconds, transfers: countTransfers(upstream, image) }
  }
  return { name: nameOf('nothing', crowd), measure }
}

function countTransfers(upstream: Server, image: StoredImage): number {
  const digests = image.blobs.slice(1).map(({ digest }) => digest)
  const isLayer = (line: string): boolean =>
    line.startsWith('GET ') && digests.some((digest) => line.includes(digest))
  return requestsOf(upstream.takeLog()).filter(isLayer).length / digests.length
}
