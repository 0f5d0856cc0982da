// System calls of another process that fail while it runs, the way a broken disk makes them: strace
// answers in place of the kernel. A test without strace, or without the right to trace, is skipped.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { TestContext } from 'node:test'
import { findTool } from './tools.ts'
import { until } from './until.ts'

export interface FailingCalls {
  /** `fdatasync,fsync` */
  readonly calls: string
  /** `EIO` */
  readonly error: string
  /** Only calls about these files. */
  readonly paths?: readonly string[]
}

/** From now on, until it is disposed of. @returns undefined when the test is to be skipped. */
export async function failCalls(
  t: TestContext,
  pid: number,
  { calls, error, paths = [] }: FailingCalls,
): Promise<AsyncDisposable | undefined> {
  const strace = findTool('strace')
  if (strace === undefined) {
    t.skip('there is no strace here')
    return undefined
  }
  const args = ['-f', '-qq', '-o', '/dev/null', '-p', String(pid), '-e', `trace=${calls}`]
  const only = paths.flatMap((path) => ['-P', path])
  const child = spawn(strace, [...args, ...only, '-e', `inject=${calls}:error=${error}`], {
    stdio: 'ignore',
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await until('the process is traced', async () => hasEnded(child) || (await isTraced(pid)))
  if (hasEnded(child)) {
    t.skip('processes cannot be traced here')
    return undefined
  }
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGINT')
      await ended
    },
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** Every thread: files are written by a pool of them. */
async function isTraced(pid: number): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`)
  const states = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/status`, 'utf8')),
  )
  return states.every((state) => /^TracerPid:\s+[1-9]/m.test(state))
}
