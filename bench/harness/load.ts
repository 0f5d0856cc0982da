// The load generators: wrk for many small answers, ab for HEAD (wrk waits for the body of an answer
// to HEAD), curl for large ones. An answer that is no success is a failure of the benchmark.

import { getProgram, run } from './programs.ts'
import type { Server } from './server.ts'

/** What a server did, and what it took. */
export interface Sample {
  readonly seconds: number
  readonly requests: number
  readonly cpuSeconds: number
}

export const ratePerSecond = ({ requests, seconds }: Sample): number => requests / seconds
export const cpuPerRequest = ({ requests, cpuSeconds }: Sample): number => cpuSeconds / requests

export interface LoadOptions {
  readonly connections: number
  readonly seconds: number
}

const startSecondsMax = 30

/** What clients say that they understand; distribution hides manifests of other types. */
export const acceptedTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')
const acceptHeader = ['-H', `Accept: ${acceptedTypes}`]

/** GET of one path again and again. */
export function wrk(server: Server, path: string, options: LoadOptions): Promise<Sample> {
  const { connections, seconds } = options
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, ...acceptHeader, `${server.url}${path}`]
  return measured(server, async () => {
    const text = await run({ program: getProgram('wrk'), args }, seconds + startSecondsMax)
    const match = /(\d+) requests in ([\d.]+)(ms|s|m),/.exec(text)
    const unit = { ms: 0.001, s: 1, m: 60 }[match?.[3] ?? ''] ?? Number.NaN
    if (match === null || /Non-2xx|Socket errors/.test(text)) throw new Error(`wrk: ${text}`)
    return { requests: Number(match[1]), seconds: Number(match[2]) * unit }
  })
}

/** Far more than any server answers in the time. */
const abRequestsMax = 1_000_000

/** HEAD of one path again and again. */
export function ab(server: Server, path: string, options: LoadOptions): Promise<Sample> {
  const { connections, seconds } = options
  const until = ['-t', String(seconds), '-n', String(abRequestsMax)]
  const how = ['-q', '-k', '-i', '-c', String(connections), ...acceptHeader, ...until]
  const args = [...how, `${server.url}${path}`]
  return measured(server, async () => {
    const text = await run({ program: getProgram('ab'), args }, seconds + startSecondsMax)
    const number = (name: string): number =>
      Number(new RegExp(`^${name}: +([\\d.]+)`, 'm').exec(text)?.[1] ?? Number.NaN)
    const isClean = number('Failed requests') === 0 && !text.includes('Non-2xx')
    if (!isClean) throw new Error(`ab: ${text}`)
    return { requests: number('Complete requests'), seconds: number('Time taken for tests') }
  })
}

export interface Download {
  readonly bytes: number
  readonly seconds: number
}

const downloadSecondsMax = 300

/** GET of each path, `parallel` at a time; the bytes go nowhere. */
export async function curl(
  url: string,
  paths: readonly string[],
  options: { readonly parallel?: number; readonly bytesPerSecondMax?: number } = {},
): Promise<Download> {
  const { parallel = 1, bytesPerSecondMax } = options
  const args = ['--silent', '--show-error', '--fail', '--http1.1', ...acceptHeader]
  args.push('--write-out', '%{size_download}\\n')
  if (parallel > 1)
    args.push('--parallel', '--parallel-immediate', '--parallel-max', String(parallel))
  if (bytesPerSecondMax !== undefined) args.push('--limit-rate', String(bytesPerSecondMax))
  for (const path of paths) args.push('--output', '/dev/null', `${url}${path}`)
  const started = performance.now()
  const text = await run({ program: getProgram('curl'), args }, downloadSecondsMax)
  const seconds = (performance.now() - started) / 1000
  const bytes = text
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + Number(line), 0)
  return { bytes, seconds }
}

/** Adds what the server needed for it. */
export async function measured(
  server: Server,
  work: () => Promise<Omit<Sample, 'cpuSeconds'>>,
): Promise<Sample> {
  const before = server.cpuSeconds()
  const done = await work()
  return { ...done, cpuSeconds: server.cpuSeconds() - before }
}
