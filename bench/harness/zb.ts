// zot's load generator: pushes and pulls of images of one layer, timed from the first request of one to
// its last. What it prints of each test is read here.

import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { complete, findZotProgram, howToGet } from './programs.ts'
import type { Server } from './server.ts'

export interface ZbLoad {
  /** A regular expression (Go) of names of tests. */
  readonly tests: string
  /** Of each test; a multiple of `clients`, or zb waits for ever. */
  readonly requests: number
  readonly clients: number
  /** Deletes what it pushed after each test, in the time that is measured. */
  readonly cleansUp?: boolean
}

export interface ZbTest {
  readonly name: string
  /** Images, in the time of the whole test: that of a pull has the push before it. */
  readonly ratePerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
}

const runSecondsMax = 300

/** Why it cannot be run here. */
export function whyNoZb(): string | undefined {
  return findZotProgram('zb') === undefined
    ? `zb is not here; to get it: ${howToGet('zb')}`
    : undefined
}

/** @throws if it gives up: when what prepares a test fails. A request of a test that fails is counted. */
export async function zb({ scratch }: Bench, server: Server, load: ZbLoad): Promise<ZbTest[]> {
  const program = findZotProgram('zb')
  if (program === undefined) throw new Error(whyNoZb())
  const { tests, requests, clients, cleansUp = false } = load
  // It removes its directory.
  const directory = join(scratch.directory('zb'), 'blobs')
  const args = ['-t', tests, '-n', String(requests), '-c', String(clients), '-d', directory]
  if (!cleansUp) args.push('--skip-cleanup')
  const command = { program, args: [...args, server.url] }
  const { stdout, stderr, code } = await complete(command, runSecondsMax)
  const done = stdout.split('============').slice(1).map(parseTest)
  // It ends with 1 in both cases.
  const isCounted = done.some(({ failed }) => failed > 0)
  if (done.length > 0 && (code === 0 || isCounted)) return done
  throw new Error(`zb on ${server.name}: ${(stderr + stdout).slice(-2_000)}`)
}

function parseTest(text: string): ZbTest {
  const find = (name: string): string =>
    new RegExp(`^${name}:\\s+(.+)$`, 'm').exec(text)?.[1]?.trim() ?? ''
  return {
    name: find('Test name'),
    ratePerSecond: Number(find('Requests per second')),
    p50Ms: parseDuration(find('p50')),
    p99Ms: parseDuration(find('p99')),
    failed: Number(find('Failed requests')),
  }
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, s: 1000, ms: 1, µs: 0.001, ns: 1e-6 }

/** `1m2.5s`, `823.4µs`. @returns milliseconds. */
function parseDuration(text: string): number {
  return Array.from(text.matchAll(/([\d.]+)(ms|µs|ns|s|m)/g), ([, amount, unit = '']) => {
    return Number(amount) * (unitMs[unit] ?? Number.NaN)
  }).reduce((sum, part) => sum + part, 0)
}
