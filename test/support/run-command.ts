// Runs the commands as people do, as a process, with a home of its own.

import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const node = fileURLToPath(new URL('../../bin/node', import.meta.url))
const script = fileURLToPath(new URL('registry-commands.ts', import.meta.url))
const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

const environment = {
  PATH: process.env['PATH'],
  // No login of the person who runs the tests is found in a home that does not exist.
  HOME: '/no-such-file',
  // Dozens of runs of the same program: this halves their time.
  NODE_COMPILE_CACHE: join(tmpdir(), 'trow-test-compile-cache'),
}

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stdoutBytes: Buffer
  readonly stderr: string
}

export interface CommandOptions {
  readonly environment?: NodeJS.ProcessEnv
  readonly input?: string | Readable
}

/** `trow ls` and `trow inspect`. */
export async function runCommand(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return await start(script, args, options).result
}

/** The whole program, which takes signals. */
export async function runTrow(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return await startTrow(args, options).result
}

/** The whole program, with bytes on its standard input for as long as it reads them. */
export async function feedTrow(
  args: readonly string[],
  input: Readable,
  options: Pick<CommandOptions, 'environment'> = {},
): Promise<CommandResult> {
  return await start(program, args, { ...options, input }).result
}

export interface RunningCommand {
  readonly signal: (name: NodeJS.Signals) => void
  readonly result: Promise<CommandResult>
}

export function startTrow(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  return start(program, args, options)
}

function start(file: string, args: readonly string[], options: CommandOptions): RunningCommand {
  const child = spawn(node, [file, ...args], {
    env: { ...environment, ...options.environment },
    stdio: 'pipe',
  })
  const { input = '' } = options
  child.stdin.on('error', () => undefined)
  if (typeof input === 'string') child.stdin.end(input)
  else input.pipe(child.stdin)
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const closed = Promise.withResolvers<number | null>()
  child.on('error', closed.reject).on('close', closed.resolve)
  const ended = async (): Promise<CommandResult> => {
    const code = await closed.promise
    const stdoutBytes = await stdout
    const errors = (await stderr).toString()
    return { code, stdoutBytes, stdout: stdoutBytes.toString(), stderr: errors }
  }
  return { signal: (name) => void child.kill(name), result: ended() }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stream))
}
