// Helm as people run it, on the project's chart: with a home of its own, and values by standard input.

import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getTool } from './tools.ts'

export const helms = ['helm-3', 'helm-4'] as const

export type Helm = (typeof helms)[number]

export const chartDirectory = fileURLToPath(new URL('../../charts/trow/', import.meta.url))

export interface Values {
  readonly [key: string]: unknown
}

export interface ToolResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface ToolOptions {
  readonly input?: string
  readonly environment?: NodeJS.ProcessEnv
}

/** Helm keeps caches there, even of commands that need none. */
const home = join(tmpdir(), 'trow-test-home')

/** Whatever its exit code is. */
export async function runTool(
  program: string,
  args: readonly string[],
  { input = '', environment = {} }: ToolOptions = {},
): Promise<ToolResult> {
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'], HOME: home, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  child.stdout.on('data', (bytes: Buffer) => output.stdout.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => output.stderr.push(bytes))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return {
    code,
    stdout: Buffer.concat(output.stdout).toString(),
    stderr: Buffer.concat(output.stderr).toString(),
  }
}

export async function runHelm(
  helm: Helm,
  args: readonly string[],
  { values, environment = {} }: { values?: Values; environment?: NodeJS.ProcessEnv } = {},
): Promise<ToolResult> {
  const flags = values === undefined ? [] : ['--values', '-']
  const input = values === undefined ? '' : JSON.stringify(values)
  return await runTool(getTool(helm), [...args, ...flags], { input, environment })
}

interface Rendering {
  readonly helm?: Helm
  readonly release?: string
  readonly namespace?: string
  readonly kubernetes?: string
}

/** The manifests that a release consists of; of one called `trow` in a namespace `trow`, if nothing is said. */
export async function renderChart(
  values: Values,
  { helm = 'helm-4', release = 'trow', namespace = 'trow', kubernetes = '1.36.3' }: Rendering = {},
): Promise<ToolResult> {
  const apis = ['gateway.networking.k8s.io/v1', 'cert-manager.io/v1', 'monitoring.coreos.com/v1']
  return await runHelm(
    helm,
    [
      'template',
      release,
      chartDirectory,
      `--namespace=${namespace}`,
      `--kube-version=${kubernetes}`,
      ...apis.map((api) => `--api-versions=${api}`),
    ],
    { values },
  )
}
