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
import { interleave, medianOf, ratioOf, type Rounds } from './harness/statistics.ts'

export const coldCrowd: Benchmark = {
  name: 'cold-crowd',
  title: 'Cache: 32 clients, one cold image',
  method:
    'An image of 256 MiB in 3 layers, pulled by one client and by 32 at the same time through caches ' +
    'that are empty. Transfers: GETs of layers that reached the upstream, per layer. Where this machine ' +
    'needs longer to move 32 images from nginx to curl, without a cache and without a limit, than one client of ' +
    'Trow takes for one, the network between them is what is measured, and there is no aim.',
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
}

const unlimited: Scene = { name: 'unlimited', nginx: { asRegistry: true } }
const limited: readonly Scene[] = [25, 50, 100].map((megabytes) => ({
  name: `${megabytes} MB/s`,
  nginx: { asRegistry: true, bytesPerSecondMax: (megabytes * 1_000_000) / parallelLayers },
}))

const [one, many, withoutCache] = [
  nameOf('trow', 1),
  nameOf('trow', crowd),
  nameOf('nothing', crowd),
]

async function measureCrowds(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const bytes = (bench.isQuick ? 12 : 256) * MiB
  const image = content.addImage(
    'bench/app',
    Array.from({ length: layers }, () => Math.ceil(bytes / layers)),
  )
  const rows: string[][] = []
  const aims: Aim[] = []
  const measure = async (scene: Scene): Promise<Rounds<Pulled>> => {
    const rounds = await measureScene(bench, content, image, scene)
    rows.push(...rowsOf(scene, rounds))
    return rounds
  }
  const free = await measure(unlimited)
  aims.push(...aimsOf(unlimited, free))
  for (const scene of limited) {
    const rounds = await measure(scene)
    const isOfNetwork = medianOf(free, withoutCache, secondsOf) > medianOf(rounds, one, secondsOf)
    aims.push(...aimsOf(scene, rounds, isOfNetwork ? undefined : 1.3))
  }
  const columns = ['upstream', 'through', 'seconds', 'of one client', 'transfers']
  return { tables: [{ columns, rows }], aims }
}

async function measureScene(
  bench: Bench,
  content: Content,
  image: StoredImage,
  scene: Scene,
): Promise<Rounds<Pulled>> {
  bench.say(`upstream ${scene.name}`)
  await using upstream = await startNginx(bench, content, scene.nginx)
  return await interleave(bench.isQuick ? 1 : 2, [
    // What this machine can do: the limits are for each connection, so only without one.
    ...(scene === unlimited ? [direct(upstream, image)] : []),
    subject(bench, { cache: 'trow', clients: 1 }, upstream, image),
    ...['trow' as const, ...findOtherCaches(bench)].map((cache) =>
      subject(bench, { cache, clients: crowd }, upstream, image),
    ),
  ])
}

function rowsOf(scene: Scene, rounds: Rounds<Pulled>): string[][] {
  return [...rounds.keys()].map((name) => [
    scene.name,
    name,
    cell(medianOf(rounds, name, secondsOf)),
    cell(ratioOf(rounds, [name, one], secondsOf)),
    medianOf(rounds, name, transfersOf).toFixed(1),
  ])
}

function aimsOf(scene: Scene, rounds: Rounds<Pulled>, atMost?: number): Aim[] {
  return [
    {
      about: `${scene.name}: transfers from the upstream`,
      atMost: 1,
      measured: medianOf(rounds, many, transfersOf),
      unit: '',
    },
    {
      about: `${scene.name}: total time of one client's`,
      ...(atMost !== undefined && { atMost }),
      measured: ratioOf(rounds, [many, one], secondsOf),
      unit: 'x',
    },
  ]
}

function secondsOf({ seconds }: Pulled): number {
  return seconds
}

function transfersOf({ transfers }: Pulled): number {
  return transfers
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
