// What is cached already, beside what was pushed: the same bytes from the same disk.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Content, pushImage } from './harness/content.ts'
import { cpuPerRequest, ratePerSecond, type Sample, wrk } from './harness/load.ts'
import { startNginx } from './harness/nginx.ts'
import { findOtherCaches, startCache } from './harness/pulling.ts'
import type { Server } from './harness/server.ts'
import { interleave, medianOf, ratioOf } from './harness/statistics.ts'

export const warmPull: Benchmark = {
  name: 'warm-pull',
  title: 'Cache: warm rates',
  method:
    'Manifests over 32 connections and blobs of 1 MiB over 8 (wrk): pushed to Trow; cached by it, ' +
    'with `tag_ttl` of an hour and with its default of 0 s, where pulls ask the upstream (nginx); ' +
    'cached by others.',
  run: measureWarmPulls,
}

const MiB = 1024 * 1024
const local = 'trow, pushed'
const cached = 'trow, cached'
const asking = 'trow, cached, tag_ttl 0'

interface Target {
  readonly name: string
  readonly server: Server
  readonly repository: string
}

async function measureWarmPulls(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [MiB])
  await using resources = new AsyncDisposableStack()
  const upstream = resources.use(await startNginx(bench, content, { asRegistry: true }))
  const cache = async (
    ...args: [name: Parameters<typeof startCache>[1], tagTtlSeconds?: number]
  ) => {
    const [name, tagTtlSeconds] = args
    const ttl = tagTtlSeconds === undefined ? {} : { tagTtlSeconds }
    const started = resources.use(await startCache(bench, name, upstream, ttl))
    return { server: started.server, repository: started.nameOf(image.repository) }
  }
  const ours = await cache('trow', 3600)
  await pushImage(ours.server.url, image)
  const targets: Target[] = [
    { name: local, server: ours.server, repository: image.repository },
    { name: cached, ...ours },
    { name: asking, ...(await cache('trow')) },
  ]
  for (const name of findOtherCaches(bench)) targets.push({ name, ...(await cache(name)) })
  const layer = image.blobs.at(-1)?.digest ?? ''
  const cases = [
    { name: 'manifest by tag', path: `manifests/${image.tag}`, connections: 32 },
    { name: 'manifest by digest', path: `manifests/${image.manifest.digest}`, connections: 32 },
    { name: 'blob of 1 MiB', path: `blobs/${layer}`, connections: 8 },
  ]
  const rows: string[][] = []
  const aims: Aim[] = []
  for (const { name, path, connections } of cases) {
    bench.say(name)
    const load = ({ server, repository }: Target, seconds: number): Promise<Sample> =>
      wrk(server, `/v2/${repository}/${path}`, { connections, seconds })
    for (const target of targets) await load(target, 1)
    const subjects = targets.map((target) => ({
      name: target.name,
      measure: () => load(target, bench.isQuick ? 1 : 2),
    }))
    const rounds = await interleave(bench.isQuick ? 1 : 5, subjects)
    const ratio = (of: string): number => ratioOf(rounds, [of, local], ratePerSecond)
    for (const target of targets) {
      rows.push([
        name,
        target.name,
        medianOf(rounds, target.name, ratePerSecond).toFixed(0),
        ratio(target.name).toFixed(2),
        (medianOf(rounds, target.name, cpuPerRequest) * 1e6).toFixed(0),
      ])
    }
    aims.push({
      about: `${name}, cached, rate of pushed`,
      atLeast: 0.95,
      measured: ratio(cached),
      unit: 'x',
    })
  }
  const columns = ['request', 'server', 'answers/s', 'of pushed', 'CPU µs each']
  return { tables: [{ columns, rows }], aims }
}
