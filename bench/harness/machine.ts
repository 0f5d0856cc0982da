// Where and what was measured: a figure without them is a rumour.

import { execFileSync } from 'node:child_process'
import { cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { distribution3, versionOf, versionOfZot } from './programs.ts'
import type { Scratch } from './scratch.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** `2026-11-24, commit 0123abc, 2 cores of Intel ..., ...` */
export function describeMachine({ fileSystem }: Scratch): string {
  const [first, ...more] = cpus()
  const cores = `${more.length + 1} cores (${first?.model.trim() ?? 'unknown'})`
  const date = new Date().toISOString().slice(0, 10)
  const system = `Linux ${release()}, ${fileSystem}, Node.js ${process.versions.node}`
  const peers =
    `nginx ${versionOf('nginx')}, docker-registry ${versionOf('docker-registry')}, ` +
    `distribution 3 ${distribution3.version}, zot ${versionOfZot()}`
  return `${date}, commit ${findCommit()}, ${cores}, ${system}; ${peers}`
}

function findCommit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const isChanged = git('status', '--porcelain', '--', 'src') !== ''
    return git('rev-parse', '--short=9', 'HEAD') + (isChanged ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}
