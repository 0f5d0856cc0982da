// A server of somebody else's as a process of the test's own: started, awaited by the line of its log
// that says it is up, and stopped.

import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { getTool, type ToolName } from './tools.ts'

const startTimeoutMs = 30 * 1000
/** Ample for all of them; one that hangs is killed. */
const stopTimeoutMs = 20 * 1000
const logLinesMax = 1000

interface DaemonOptions {
  /** What the line on its standard error contains that says that it is up. */
  readonly ready: string
  /** Where it may put what it forgets to clean up. */
  readonly directory: string
  readonly environment?: NodeJS.ProcessEnv
}

/** Disposing of it stops it. */
export interface Daemon extends AsyncDisposable {
  /** Ends it at once, and waits for its end. */
  kill(): Promise<void>
}

export async function startDaemon(
  tool: ToolName,
  args: readonly string[],
  { ready, directory, environment }: DaemonOptions,
): Promise<Daemon> {
  const child = spawn(getTool(tool), args, {
    env: { PATH: process.env['PATH'], HOME: directory, TMPDIR: directory, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    await closed
    clearTimeout(timer)
  }
  try {
    await untilReady(child, tool, ready)
  } catch (error) {
    await end('SIGKILL')
    throw error
  }
  return { kill: () => end('SIGKILL'), [Symbol.asyncDispose]: () => end('SIGTERM') }
}

/** Waits for the server's own word, and keeps its log flowing afterwards. */
async function untilReady(child: ChildProcess, tool: ToolName, ready: string): Promise<void> {
  const log: string[] = []
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${tool} ${why}: ${log.slice(-20).join('\n')}`))
    const timer = setTimeout(() => fail('did not start in time'), startTimeoutMs)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      fail(`exited with ${code}`)
    })
    if (child.stderr === null) return
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (log.length < logLinesMax) log.push(line)
      if (!line.includes(ready)) return
      clearTimeout(timer)
      resolve()
    })
  })
}
