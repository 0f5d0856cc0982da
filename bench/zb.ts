// zot's load generator against Trow, zot and docker-registry: images of one layer, pushed, pulled, and
// both. distribution 3 would take another third of the time.

import type { Aim, Bench, Benchmark, Outcome, Table } from './harness/bench.ts'
import { isDistribution } from './harness/distribution.ts'
import { startStateProxy } from './harness/nginx.ts'
import { findPeers, type Peer } from './harness/peers.ts'
import { interleave, medianOf, ratioOf, type Rounds } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'
import { whyNoZb, zb, type ZbTest } from './harness/zb.ts'

export const zbTests: Benchmark = {
  name: 'zb',
  title: "zot's benchmark",
  method:
    'All tests of zb but those of synchronization, by 1 and 10 clients, each round on a new process and ' +
    'an empty directory. Images per second are of the whole test: a pull begins with a push, "Get Catalog" ' +
    'with as many as it has requests. Of few requests p99 is the slowest. All sync to disk (zot as told ' +
    'by `commit`). Without the clean-up, which docker-registry refuses by default; that is reached through ' +
    'nginx, as zb drops the query of the URL of an upload.',
  whyNot: whyNoZb,
  run: measureZb,
}

const clientCounts = [1, 10] as const

/** Tests of like size, with what each client count divides: a test of 100 MB by ten pushes 1 GB. */
const groups = [
  { tests: ' 1MB$', requests: 100 },
  { tests: ' 10MB$', requests: 30 },
  { tests: '^[^,]* 100MB$', requests: 10 },
  { tests: ',|Catalog', requests: 20 },
] as const
const quickGroups = [{ tests: ' 1MB$', requests: 10 }] as const

/** By name of the test. */
type Measured = ReadonlyMap<string, ZbTest>

async function measureZb(bench: Bench): Promise<Outcome> {
  const peers = findPeers(bench).filter(({ name }) => name !== 'distribution 3')
  const registries = [{ name: 'trow', start: () => startTrow(bench) }, ...peers]
  const tables: Table[] = []
  const aims: Aim[] = []
  for (const clients of clientCounts) {
    const subjects = registries.map((registry) => ({
      name: registry.name,
      measure: () => runAll(bench, registry, clients),
    }))
    const rounds = await interleave(roundsOf(bench), subjects)
    const names = registries.map(({ name }) => name)
    tables.push(tableOf(clients, names, rounds))
    aims.push(...aimsOf(clients, names.slice(1), rounds), failuresAim(clients, rounds))
  }
  return { tables, aims }
}

function roundsOf({ isQuick, isFull }: Bench): number {
  if (isQuick) return 1
  return isFull ? 5 : 2
}

async function runAll(bench: Bench, { name, start }: Peer, clients: number): Promise<Measured> {
  bench.say(`${name}, ${clients} at a time`)
  await using servers = new AsyncDisposableStack()
  const registry = servers.use(await start())
  const server = isDistribution(name)
    ? servers.use(await startStateProxy(bench, registry))
    : registry
  const tests: ZbTest[] = []
  for (const group of bench.isQuick ? quickGroups : groups) {
    tests.push(...(await zb(bench, server, { ...group, clients })))
  }
  for (const { failed, name: test } of tests.filter((one) => one.failed > 0)) {
    bench.notes.add(`${failed} requests to ${name} failed: ${test}, by ${clients}`)
  }
  return new Map(tests.map((test) => [test.name, test]))
}

/** NaN where requests failed, or zb gave up before that test. */
const of = (test: string, pick: (figures: ZbTest) => number) => {
  return (measured: Measured): number => {
    const figures = measured.get(test)
    return figures === undefined || figures.failed > 0 ? Number.NaN : pick(figures)
  }
}

function testNames(rounds: Rounds<Measured>): string[] {
  return [...(rounds.get('trow')?.[0]?.keys() ?? [])]
}

function tableOf(clients: number, names: readonly string[], rounds: Rounds<Measured>): Table {
  const rows = testNames(rounds).map((test) => {
    const figure = (name: string, pick: (figures: ZbTest) => number): string => {
      const value = medianOf(rounds, name, of(test, pick))
      if (Number.isNaN(value)) return '-'
      return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
    }
    const rates = names.map((name) => figure(name, ({ ratePerSecond }) => ratePerSecond))
    const times = names.map((name) => {
      return `${figure(name, ({ p50Ms }) => p50Ms)} / ${figure(name, ({ p99Ms }) => p99Ms)}`
    })
    return [test, ...rates, ...times]
  })
  const columns = [
    clients === 1 ? '1 client' : `${clients} clients`,
    ...names.map((name) => `${name}: images/s`),
    ...names.map((name) => `${name}: p50 / p99 ms`),
  ]
  return { columns, rows }
}

/** First in every row. */
function aimsOf(clients: number, peers: readonly string[], rounds: Rounds<Measured>): Aim[] {
  return testNames(rounds).map((test) => {
    const rate = of(test, ({ ratePerSecond }) => ratePerSecond)
    const median = (name: string): number => medianOf(rounds, name, rate)
    const [best = ''] = peers
      .filter((name) => !Number.isNaN(median(name)))
      .toSorted((a, b) => median(b) - median(a))
    return {
      about: `${test}, by ${clients}, rate of the best other (${best})`,
      atLeast: 1,
      measured: ratioOf(rounds, ['trow', best], rate),
      unit: 'x',
    }
  })
}

function failuresAim(clients: number, rounds: Rounds<Measured>): Aim {
  const tests = (rounds.get('trow') ?? []).flatMap((measured) => [...measured.values()])
  const measured = tests.reduce((sum, { failed }) => sum + failed, 0)
  return { about: `requests to trow that failed, by ${clients}`, atMost: 0, measured, unit: '' }
}
