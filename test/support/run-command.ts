// Runs `trow ls` and `trow inspect` as people do, as a process, with a home of its own.

import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const node = fileURLToPath(new URL('../../bin/node', import.meta.url))
const script = fileURLToPath(new URL('registry-commands.ts', import.meta.url))

const environment = {
  PATH: process.env['PATH'],
  // No login of the person who runs the tests is found in a home that does not exist.
  HOME: '/nonexistent',
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
  readonly input?: string
}

export async function runCommand(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = spawn(node, [script, ...args], {
    env: { ...environment, ...options.environment },
    stdio: 'pipe',
  })
  child.stdin.on('error', () => undefined).end(options.input ?? '')
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const closed = Promise.withResolvers<number | null>()
  child.on('error', closed.reject).on('close', closed.resolve)
  const code = await closed.promise
  const stdoutBytes = await stdout
  return { code, stdoutBytes, stdout: stdoutBytes.toString(), stderr: (await stderr).toString() }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stream))
}
