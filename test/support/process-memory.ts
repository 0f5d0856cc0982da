// How much memory another process has, and had at its worst. Linux only.

import { readFileSync, writeFileSync } from 'node:fs'

const MiB = 1 << 20

function statusOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(text)?.[1]) * 1024
}

export function residentBytes(pid: number): number {
  return statusOf(pid, 'VmRSS')
}

/** By how many MiB the memory of a process grew at its worst while `work` went on. */
export async function peakGrowthMiB(pid: number, work: () => Promise<void>): Promise<number> {
  // proc(5): forgets the peak so far.
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const before = residentBytes(pid)
  await work()
  return Math.round((statusOf(pid, 'VmHWM') - before) / MiB)
}
