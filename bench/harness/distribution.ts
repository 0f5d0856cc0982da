// Distribution, the reference implementation in Go, in two versions: Debian's docker-registry (2.8)
// and distribution 3. Both as their packages configure them: access log on, descriptors cached.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { distribution3, findDistribution3, getProgram } from './programs.ts'
import { Server } from './server.ts'

export const distributions = ['docker-registry', 'distribution 3'] as const

export type Distribution = (typeof distributions)[number]

/** Those that are here; what is not is noted. @throws without docker-registry. */
export function findDistributions(bench: Bench): Distribution[] {
  getProgram('docker-registry')
  if (findDistribution3() !== undefined) return [...distributions]
  bench.notes.add(
    `distribution 3 (${distribution3.version}) is not here, so not compared; ` +
      'to get it: npm run bench -- --get-peers',
  )
  return ['docker-registry']
}

export function isDistribution(name: string): boolean {
  return distributions.some((known) => known === name)
}

export interface DistributionOptions {
  /** URL of the registry that it is a cache of. */
  readonly proxyOf?: string
}

export async function startDistribution(
  { scratch }: Bench,
  name: Distribution,
  options: DistributionOptions = {},
): Promise<Server> {
  const directory = scratch.directory(name)
  const config = join(directory, 'config.json')
  writeFileSync(config, JSON.stringify(configOf(directory, options)))
  return Server.start({
    name,
    program: name === 'distribution 3' ? getDistribution3() : getProgram('docker-registry'),
    args: ['serve', config],
    environment: { OTEL_TRACES_EXPORTER: 'none' },
    home: directory,
    findUrl: (log) => {
      const address = /msg="listening on (127\.0\.0\.1:\d+)/.exec(log)?.[1]
      return address && `http://${address}`
    },
  })
}

function getDistribution3(): string {
  const path = findDistribution3()
  if (path === undefined) throw new Error('distribution 3 not found: npm run bench -- --get-peers')
  return path
}

/** YAML, so JSON will do. */
function configOf(directory: string, { proxyOf }: DistributionOptions): object {
  return {
    version: '0.1',
    log: { level: 'info' },
    storage: {
      filesystem: { rootdirectory: join(directory, 'data') },
      cache: { blobdescriptor: 'inmemory' },
    },
    http: { addr: '127.0.0.1:0', secret: 'of no use to anybody' },
    ...(proxyOf !== undefined && { proxy: { remoteurl: proxyOf } }),
  }
}
