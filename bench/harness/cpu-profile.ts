// Where the processor's time went, from what `node --cpu-prof` writes: the functions with most time
// of their own between two moments, so that the start of the program does not count.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Table } from './bench.ts'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: {
      readonly functionName: string
      readonly url: string
      readonly lineNumber: number
    }
  }[]
  /** Microseconds of the clock that `process.hrtime` shows, too. */
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface Period {
  readonly from: bigint
  readonly to: bigint
}

const functionsShown = 30

/** Of the only profile in the directory. @param period in nanoseconds of `process.hrtime`. */
export function summarizeProfile(directory: string, period: Period): Table {
  const name = readdirSync(directory).find((file) => file.endsWith('.cpuprofile')) ?? ''
  const profile = JSON.parse(readFileSync(join(directory, name), 'utf8')) as CpuProfile
  const times = [...selfTimes(profile, period)]
    .filter(([place]) => place !== '(idle)')
    .sort(([, a], [, b]) => b - a)
  const total = times.reduce((sum, [, time]) => sum + time, 0)
  const rows = times
    .slice(0, functionsShown)
    .map(([place, time]) => [`${((100 * time) / total).toFixed(1)} %`, place])
  return { columns: ['self time', 'function'], rows }
}

function selfTimes(profile: CpuProfile, { from, to }: Period): Map<string, number> {
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const times = new Map<string, number>()
  let at = profile.startTime
  for (const [index, id] of profile.samples.entries()) {
    const delta = profile.timeDeltas[index] ?? 0
    at += delta
    if (at * 1000 < from || at * 1000 > to) continue
    const place = places.get(id) ?? ''
    times.set(place, (times.get(place) ?? 0) + delta)
  }
  return times
}

function placeOf(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName
  if (frame.url === '') return name
  return `${name} ${frame.url.replace(/^.*\/(?=src\/|node_modules\/)/, '')}:${frame.lineNumber + 1}`
}
