// Pulling layers: what a registry spends most of its processor and network on.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Content, pushImage, type StoredBlob } from './harness/content.ts'
import { curl, measured, type Sample, wrk } from './harness/load.ts'
import { startNginx } from './harness/nginx.ts'
import { findPeers } from './harness/peers.ts'
import type { Server } from './harness/server.ts'
import { interleave, medianOf, ratioOf, type Rounds } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'

export const blobs: Benchmark = {
  name: 'blobs',
  title: 'Blobs: GET',
  method:
    'Blobs of 1 MiB over 8 connections (wrk), and of 1 GiB, twice in a row over one connection (curl). ' +
    'nginx (one worker) sends the same files with sendfile. CPU is that of the server alone.',
  run: measureBlobs,
}

const MiB = 1024 * 1024
const GiB = 1024 * MiB
const connections = 8

interface Case {
  readonly name: string
  readonly blob: StoredBlob
  readonly load: (server: Server, path: string) => Promise<Sample>
}

async function measureBlobs(bench: Bench): Promise<Outcome> {
  const { isQuick } = bench
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [MiB, isQuick ? 64 * MiB : GiB])
  const [, small, large] = image.blobs
  if (small === undefined || large === undefined) throw new Error('an image has its layers')
  await using servers = new AsyncDisposableStack()
  const started = [
    servers.use(await startTrow(bench)),
    servers.use(await startNginx(bench, content)),
  ]
  for (const peer of findPeers(bench)) started.push(servers.use(await peer.start()))
  for (const server of started.filter(({ name }) => name !== 'nginx')) {
    await pushImage(server.url, image)
  }
  const seconds = isQuick ? 1 : 3
  const cases: Case[] = [
    {
      name: '1 MiB',
      blob: small,
      load: (server, path) => wrk(server, path, { connections, seconds }),
    },
    { name: '1 GiB', blob: large, load: (server, path) => downloadTwice(server, path) },
  ]
  const outcomes: Outcome[] = []
  for (const one of cases) {
    bench.say(one.name)
    const path = `/v2/${image.repository}/blobs/${one.blob.digest}`
    const subjects = started.map((server) => ({
      name: server.name,
      measure: () => one.load(server, path),
    }))
    outcomes.push(outcomeOf(one, started, await interleave(isQuick ? 1 : 5, subjects)))
  }
  const rows = outcomes.flatMap(({ tables }) => tables).flatMap((table) => table.rows)
  const columns = ['blob', 'server', 'MiB/s', 'of nginx', 'CPU s/GiB', 'of nginx']
  return { tables: [{ columns, rows }], aims: outcomes.flatMap(({ aims }) => aims) }
}

function downloadTwice(server: Server, path: string): Promise<Sample> {
  return measured(server, async () => {
    const { seconds } = await curl(server.url, [path, path])
    return { seconds, requests: 2 }
  })
}

function outcomeOf(
  { name, blob }: Case,
  servers: readonly Server[],
  rounds: Rounds<Sample>,
): Outcome {
  const throughput = ({ requests, seconds }: Sample): number =>
    (requests * blob.size) / MiB / seconds
  const cpu = ({ requests, cpuSeconds }: Sample): number =>
    cpuSeconds / ((requests * blob.size) / GiB)
  const rows = servers.map((server) => [
    name,
    server.name,
    medianOf(rounds, server.name, throughput).toFixed(0),
    ratioOf(rounds, [server.name, 'nginx'], throughput).toFixed(2),
    medianOf(rounds, server.name, cpu).toFixed(2),
    ratioOf(rounds, [server.name, 'nginx'], cpu).toFixed(2),
  ])
  const against = (to: string, pick: (sample: Sample) => number): number =>
    ratioOf(rounds, ['trow', to], pick)
  const aims: Aim[] = servers.slice(1).flatMap(({ name: to }) => {
    const isNginx = to === 'nginx'
    return [
      {
        about: `${name}, throughput of ${to}'s`,
        ...(isNginx && { atLeast: 0.95 }),
        measured: against(to, throughput),
        unit: 'x',
      },
      {
        about: `${name}, CPU of ${to}'s`,
        atMost: isNginx ? 1.7 : 1,
        measured: against(to, cpu),
        unit: 'x',
      },
    ]
  })
  return { tables: [{ columns: [], rows }], aims }
}
