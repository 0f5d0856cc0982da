// `npm run bench`: runs the benchmarks, or those named, prints what they measured, and writes it to
// results.md. Everything stays on the loopback interface; children end with this process.

import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import type { Bench, Benchmark } from './harness/bench.ts'
import { describeMachine } from './harness/machine.ts'
import { distribution3, distribution3Directory, findDistribution3 } from './harness/programs.ts'
import { renderSection, saveSection } from './harness/results.ts'
import { Scratch } from './harness/scratch.ts'
import { admission } from './admission.ts'
import { blobs } from './blobs.ts'
import { coldCrowd } from './cold-crowd.ts'
import { coldPull } from './cold-pull.ts'
import { deadUpstream } from './dead-upstream.ts'
import { gc } from './gc.ts'
import { gcLoad } from './gc-load.ts'
import { manifests } from './manifests.ts'
import { memory } from './memory.ts'
import { packageTrow } from './harness/trow.ts'
import { captureProfiles } from './profiles.ts'
import { pushes } from './pushes.ts'
import { scale } from './scale.ts'
import { warmPull } from './warm-pull.ts'
import { zbTests } from './zb.ts'

const benchmarks: readonly Benchmark[] = [
  manifests,
  blobs,
  pushes,
  zbTests,
  memory,
  coldPull,
  coldCrowd,
  warmPull,
  deadUpstream,
  scale,
  gc,
  gcLoad,
  admission,
]

const flag = { type: 'boolean', default: false } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: flag,
    full: flag,
    profile: flag,
    'get-peers': flag,
    directory: { type: 'string', default: tmpdir() },
  },
})

// What a benchmark starts ends with this process; here only its files are to go.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

/** Builds the peers that Debian does not have, once, into the cache of the test tools. */
function getPeers(): void {
  if (findDistribution3() !== undefined) return
  const { module, version } = distribution3
  execFileSync('go', ['install', '-trimpath', '-ldflags=-s -w', `${module}@${version}`], {
    env: { ...process.env, CGO_ENABLED: '0', GOBIN: distribution3Directory(), GOWORK: 'off' },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
}

/** What hangs must not hang for ever. */
const benchmarkSecondsMax = 30 * 60

/** Its files are gone when this resolves. */
async function withBench(name: string, work: (bench: Bench) => Promise<void>): Promise<void> {
  using scratch = new Scratch(values.directory)
  const timer = setTimeout(() => {
    console.error(`${name}: not done after ${benchmarkSecondsMax} s, given up`)
    process.exit(1)
  }, benchmarkSecondsMax * 1000)
  const notes = new Set<string>()
  try {
    await work({
      scratch,
      program: await packageTrow(scratch),
      notes,
      isQuick: values.quick,
      isFull: values.full,
      say: (text) => console.error(`${name}: ${text}`),
    })
  } finally {
    clearTimeout(timer)
  }
}

async function runBenchmark(benchmark: Benchmark, bench: Bench): Promise<void> {
  const started = performance.now()
  const outcome = await benchmark.run(bench)
  const seconds = Math.round((performance.now() - started) / 1000)
  const about = `${describeMachine(bench.scratch)}, ${seconds} s`
  const section = renderSection(benchmark, { about, outcome, notes: [...bench.notes] })
  console.log(section)
  if (!bench.isQuick) await saveSection(benchmark.name, section)
}

async function main(): Promise<void> {
  if (values['get-peers']) return getPeers()
  if (values.profile) return withBench('profile', captureProfiles)
  const unknown = positionals.filter((name) => !benchmarks.some((known) => known.name === name))
  if (unknown.length > 0) {
    const names = benchmarks.map(({ name }) => name).join(', ')
    throw new Error(`no such benchmark: ${unknown.join(', ')}; there are ${names}`)
  }
  for (const benchmark of benchmarks) {
    if (positionals.length > 0 && !positionals.includes(benchmark.name)) continue
    const obstacle = benchmark.whyNot?.()
    if (obstacle !== undefined) {
      console.error(`${benchmark.name}: not run, as ${obstacle}`)
      continue
    }
    await withBench(benchmark.name, (bench) => runBenchmark(benchmark, bench))
  }
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error : String(error))
  process.exitCode = 1
}
