// The programs that benchmarks start, found or missed with a word on how to get them, and run as
// children that end with this process: the kernel kills them, however this process ends.

import {
  type ChildProcess,
  execFileSync,
  spawn,
  spawnSync,
  type StdioOptions,
} from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findOnPath, testCacheDirectory } from '../../test/support/tools.ts'

const debianPackages = {
  ab: 'apache2-utils',
  curl: 'curl',
  'docker-registry': 'docker-registry',
  nginx: 'nginx',
  setpriv: 'util-linux',
  wrk: 'wrk',
} as const

export type Program = keyof typeof debianPackages

/** Of distribution 3, which Debian does not have; `npm run bench -- --get-peers` builds it. */
export const distribution3 = {
  module: 'github.com/distribution/distribution/v3/cmd/registry',
  version: 'v3.1.2',
} as const

export function distribution3Directory(): string {
  return join(testCacheDirectory(), `distribution-${distribution3.version}`)
}

export function findDistribution3(): string | undefined {
  const path = join(distribution3Directory(), 'registry')
  return existsSync(path) ? path : undefined
}

/** Of zot, which is built by hand: the registry and its load generator, and what makes them. */
const zotTargets = { zot: 'binary EXTENSIONS=sync', zb: 'bench' } as const

export type ZotProgram = keyof typeof zotTargets

export function findZotProgram(name: ZotProgram): string | undefined {
  return findOnPath(name)
}

export function howToGet(name: ZotProgram): string {
  const build = `make ${zotTargets[name]}`
  return `build it from github.com/project-zot/zot (${build}) and put it on the PATH as ${name}`
}

/** As Go has noted it in the program: `v2.1.21-0.20260821073800-6d19b445fed1`. */
export function versionOfZot(): string {
  const program = findZotProgram('zot')
  if (program === undefined) return '(not here)'
  const { output } = spawnSync('go', ['version', '-m', program], { encoding: 'utf8' })
  return /\tmod\t\S+\t(v\S+)/.exec(String(output))?.[1] ?? '(built by hand)'
}

/** @throws with the package to install. */
export function getProgram(name: Program): string {
  const path = findOnPath(name)
  if (path !== undefined) return path
  throw new Error(`${name} not found; to get it: apt-get install ${debianPackages[name]}`)
}

/** Of the Debian package, or `unknown`. */
export function versionOf(name: Program): string {
  const query = ['--show', '--showformat=${Version}', debianPackages[name]]
  try {
    return execFileSync('dpkg-query', query, { encoding: 'utf8', stdio: 'pipe' })
  } catch {
    return 'unknown'
  }
}

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly environment?: NodeJS.ProcessEnv
  readonly directory?: string
}

/** A child that gets SIGKILL from the kernel when this process ends. */
export function start(command: Command, stdio: StdioOptions): ChildProcess {
  const { program, args, environment = {}, directory } = command
  return spawn(getProgram('setpriv'), ['--pdeathsig', 'KILL', program, ...args], {
    stdio,
    env: { PATH: process.env['PATH'], ...environment },
    ...(directory !== undefined && { cwd: directory }),
  })
}

/** Runs a load generator to its end. @returns its standard output. @throws unless it succeeds. */
export async function run(command: Command, secondsMax: number): Promise<string> {
  const { stdout, stderr, code } = await complete(command, secondsMax)
  if (code === 0) return stdout
  throw new Error(
    `${command.program} ${command.args.join(' ')} failed: ${lastOf(stderr || stdout)}`,
  )
}

export interface Completed {
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

/** The same for one that ends with another code than 0 and has results. @throws if it hangs. */
export async function complete(command: Command, secondsMax: number): Promise<Completed> {
  const child = start(command, ['ignore', 'pipe', 'pipe'])
  const timer = setTimeout(() => child.kill('SIGKILL'), secondsMax * 1000)
  const closed = Promise.withResolvers<number | null>()
  child.once('error', closed.reject).once('close', closed.resolve)
  try {
    const [stdout, stderr, code] = await Promise.all([
      collect(child.stdout),
      collect(child.stderr),
      closed.promise,
    ])
    if (code !== null) return { stdout, stderr, code }
    throw new Error(
      `${command.program} was ended after ${secondsMax} s: ${lastOf(stderr || stdout)}`,
    )
  } finally {
    clearTimeout(timer)
  }
}

function lastOf(text: string): string {
  return text.slice(-2_000)
}

async function collect(stream: AsyncIterable<Buffer> | null): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream ?? [])).toString()
}
