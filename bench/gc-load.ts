// Garbage collection while others push, pull and delete: zb beside a collector that begins its next pass
// a second after the last one.

import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { interleave, medianOf, ratioOf, type Rounds } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'
import { whyNoZb, zb, type ZbTest } from './harness/zb.ts'

export const gcLoad: Benchmark = {
  name: 'gc-load',
  title: 'Garbage collection under load',
  method:
    'Tests of zb with images of 1 and 10 MB by 5 clients, which delete what they pushed after each test; ' +
    'without a collector, and with one that begins a pass every second and takes what nobody has needed ' +
    'for 5 s. Each round on a new process and an empty directory.',
  whyNot: whyNoZb,
  run: measureUnderLoad,
}

const clients = 5
/** A push has to be done within the grace. */
const looping = { enabled: true, interval: '1s', grace: '5s' }
const groups = [
  { tests: ' 1MB$', requests: 400 },
  { tests: ' 10MB$', requests: 100 },
] as const
const quickGroups = [{ tests: ' 1MB$', requests: 50 }] as const

interface Collected {
  readonly passes: number
  readonly failures: number
  readonly removed: number
}

interface Measured {
  readonly tests: readonly ZbTest[]
  readonly collected: Collected
}

async function measureUnderLoad(bench: Bench): Promise<Outcome> {
  const subjects = [
    { name: 'off', measure: () => runTests(bench, { enabled: false }) },
    { name: 'looping', measure: () => runTests(bench, looping) },
  ]
  const rounds = await interleave(bench.isQuick ? 1 : 3, subjects)
  const names = rounds.get('off')?.[0]?.tests.map(({ name }) => name) ?? []
  const rows = names.map((test) => {
    const figure = (name: string, pick: (figures: ZbTest) => number): string =>
      medianOf(rounds, name, of(test, pick)).toFixed(1)
    return [
      test,
      figure('off', ({ ratePerSecond }) => ratePerSecond),
      figure('looping', ({ ratePerSecond }) => ratePerSecond),
      figure('off', ({ p99Ms }) => p99Ms),
      figure('looping', ({ p99Ms }) => p99Ms),
    ]
  })
  const columns = ['test', 'images/s, off', 'looping', 'p99 ms, off', 'looping']
  return { tables: [{ columns, rows }], aims: [...slowerAims(names, rounds), ...soundAims(rounds)] }
}

async function runTests(bench: Bench, gc: object): Promise<Measured> {
  bench.say(JSON.stringify(gc))
  await using server = await startTrow(bench, { gc })
  const tests: ZbTest[] = []
  for (const group of bench.isQuick ? quickGroups : groups) {
    tests.push(...(await zb(bench, server, { ...group, clients, cleansUp: true })))
  }
  return { tests, collected: await readCollected(server.url) }
}

async function readCollected(url: string): Promise<Collected> {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const count = (name: string): number =>
    Number(new RegExp(`^trow_gc_${name}_total (\\d+)`, 'm').exec(metrics)?.[1] ?? Number.NaN)
  return {
    passes: count('passes'),
    failures: count('failures'),
    removed: count('removed_blobs'),
  }
}

const of = (test: string, pick: (figures: ZbTest) => number) => {
  return ({ tests }: Measured): number => {
    const figures = tests.find(({ name }) => name === test)
    return figures === undefined ? Number.NaN : pick(figures)
  }
}

function slowerAims(names: readonly string[], rounds: Rounds<Measured>): Aim[] {
  return names.map((test) => ({
    about: `${test}, p99 of that without a collector`,
    atMost: 2,
    measured: ratioOf(
      rounds,
      ['looping', 'off'],
      of(test, ({ p99Ms }) => p99Ms),
    ),
    unit: 'x',
  }))
}

function soundAims(rounds: Rounds<Measured>): Aim[] {
  const runs = rounds.get('looping') ?? []
  const sum = (pick: (run: Measured) => number): number =>
    runs.reduce((total, run) => total + pick(run), 0)
  const failed = sum(({ tests }) => tests.reduce((total, test) => total + test.failed, 0))
  return [
    { about: 'requests that failed', atMost: 0, measured: failed, unit: '' },
    {
      about: 'passes that failed',
      atMost: 0,
      measured: sum(({ collected }) => collected.failures),
      unit: '',
    },
    {
      about: 'passes while zb ran',
      atLeast: 10,
      measured: sum(({ collected }) => collected.passes),
      unit: '',
    },
    {
      about: 'blobs and manifests that they removed',
      atLeast: 1,
      measured: sum(({ collected }) => collected.removed),
      unit: '',
    },
  ]
}
