// The hottest path of a registry: every node asks for the same few manifests.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Content, pushImage } from './harness/content.ts'
import { ab, cpuPerRequest, ratePerSecond, type Sample, wrk } from './harness/load.ts'
import { startNginx } from './harness/nginx.ts'
import { findPeers, type Peer } from './harness/peers.ts'
import type { Server } from './harness/server.ts'
import { interleave, medianOf, ratioOf, type Rounds } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'

export const manifests: Benchmark = {
  name: 'manifests',
  title: 'Manifests: GET and HEAD',
  method:
    'A manifest of 7 descriptors, asked for over 32 connections that stay open: GET by wrk, HEAD by ' +
    'ab. nginx (one worker) serves the same bytes as a file. Every server writes its access log.',
  run: measureManifests,
}

const connections = 32
/** How many times the rate of a peer. */
const wanted: Readonly<Record<string, number>> = { 'docker-registry': 10, zot: 2 }

async function measureManifests(bench: Bench): Promise<Outcome> {
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage(
    'bench/app',
    Array.from({ length: 6 }, () => 1_000),
  )
  await using servers = new AsyncDisposableStack()
  const peers = findPeers(bench)
  const started: Server[] = [
    servers.use(await startTrow(bench)),
    servers.use(await startNginx(bench, content)),
  ]
  for (const peer of peers) started.push(servers.use(await peer.start()))
  for (const server of started.filter(({ name }) => name !== 'nginx')) {
    await pushImage(server.url, image)
  }
  const base = `/v2/${image.repository}/manifests`
  const cases = [
    { name: 'GET by tag', load: wrk, path: `${base}/${image.tag}` },
    { name: 'GET by digest', load: wrk, path: `${base}/${image.manifest.digest}` },
    { name: 'HEAD by tag', load: ab, path: `${base}/${image.tag}` },
    { name: 'HEAD by digest', load: ab, path: `${base}/${image.manifest.digest}` },
  ]
  const rows: string[][] = []
  const aims: Aim[] = []
  for (const { name, load, path } of cases) {
    bench.say(name)
    const rounds = await measureCase(bench, started, (server, seconds) =>
      load(server, path, { connections, seconds }),
    )
    rows.push(...rowsOf(name, started, rounds))
    aims.push(...aimsOf(name, peers, rounds))
  }
  const columns = ['request', 'server', 'answers/s', 'of nginx', 'CPU µs each']
  return { tables: [{ columns, rows }], aims }
}

async function measureCase(
  { isQuick }: Bench,
  servers: readonly Server[],
  load: (server: Server, seconds: number) => Promise<Sample>,
): Promise<Rounds<Sample>> {
  // The first answers of a process are slow ones: code is compiled, caches are empty.
  for (const server of servers) await load(server, 1)
  const subjects = servers.map((server) => ({
    name: server.name,
    measure: () => load(server, isQuick ? 1 : 2),
  }))
  return interleave(isQuick ? 1 : 5, subjects)
}

function rowsOf(name: string, servers: readonly Server[], rounds: Rounds<Sample>): string[][] {
  return servers.map((server) => [
    name,
    server.name,
    medianOf(rounds, server.name, ratePerSecond).toFixed(0),
    ratioOf(rounds, [server.name, 'nginx'], ratePerSecond).toFixed(2),
    (medianOf(rounds, server.name, cpuPerRequest) * 1e6).toFixed(0),
  ])
}

function aimsOf(name: string, peers: readonly Peer[], rounds: Rounds<Sample>): Aim[] {
  const ratio = (to: string): number => ratioOf(rounds, ['trow', to], ratePerSecond)
  return [
    { about: `${name}, rate of nginx's`, atLeast: 0.45, measured: ratio('nginx'), unit: 'x' },
    ...peers.map((peer) => ({
      about: `${name}, rate of ${peer.name}'s`,
      atLeast: wanted[peer.name],
      measured: ratio(peer.name),
      unit: 'x',
    })),
  ]
}
