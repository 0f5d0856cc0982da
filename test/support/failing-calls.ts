// System calls of another process that fail while it runs, the way a broken disk makes them: strace
// answers in place of the kernel. A test without strace, or without the right to trace, is skipped.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { temporaryDirectory } from './temporary-directory.ts'
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

export interface SlowCalls {
  readonly calls: string
  readonly delayMs: number
  readonly paths: readonly string[]
}

/** From now on, until it is disposed of. @returns undefined when the test is to be skipped. */
export function failCalls(
  t: TestContext,
  pid: number,
  { calls, error, paths = [] }: FailingCalls,
): Promise<AsyncDisposable | undefined> {
  return inject(t, pid, { calls, paths, effect: `error=${error}` })
}

/** As `failCalls`: they do what they should, after a while. `count` is how many there were. */
export async function slowCalls(
  t: TestContext,
  pid: number,
  { calls, delayMs, paths }: SlowCalls,
): Promise<(AsyncDisposable & { count(): Promise<number> }) | undefined> {
  const directory = await temporaryDirectory()
  const output = join(directory.path, 'calls')
  const effect = `delay_enter=${delayMs * 1000}`
  const injected = await inject(t, pid, { calls, paths, effect, output })
  return (
    injected && {
      count: async () => (await readFile(output, 'utf8')).split('\n').filter(isCall).length,
      [Symbol.asyncDispose]: async () => {
        await injected[Symbol.asyncDispose]()
        await directory[Symbol.asyncDispose]()
      },
    }
  )
}

/** Not one that was interrupted by the line of another thread, and is finished on a later line. */
function isCall(line: string): boolean {
  return line !== '' && !line.includes(' resumed>')
}

interface Injection {
  readonly calls: string
  readonly paths: readonly string[]
  /** In strace's words. */
  readonly effect: string
  readonly output?: string
}

async function inject(
  t: TestContext,
  pid: number,
  { calls, paths, effect, output = '/dev/null' }: Injection,
): Promise<AsyncDisposable | undefined> {
  const strace = findTool('strace')
  if (strace === undefined) {
    t.skip('there is no strace here')
    return undefined
  }
  const args = ['-f', '-qq', '-o', output, '-p', String(pid), '-e', `trace=${calls}`]
  const only = paths.flatMap((path) => ['-P', path])
  const child = spawn(strace, [...args, ...only, '-e', `inject=${calls}:${effect}`], {
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
