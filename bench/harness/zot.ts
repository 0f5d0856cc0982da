// zot, a registry in Go, with its defaults but for two things: `commit`, without which it syncs nothing
// to disk before it answers, and time for large blobs.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { findZotProgram, howToGet } from './programs.ts'
import { Server } from './server.ts'

/** Whether it is here; noted if not. */
export function hasZot(bench: Bench): boolean {
  if (findZotProgram('zot') !== undefined) return true
  bench.notes.add(`zot is not here, so not compared; to get it: ${howToGet('zot')}`)
  return false
}

export interface ZotOptions {
  /** URL of the registry that it is a cache of: it syncs on demand what it is asked for. */
  readonly syncOf?: string
}

export async function startZot({ scratch }: Bench, options: ZotOptions = {}): Promise<Server> {
  const directory = scratch.directory('zot')
  const config = join(directory, 'config.json')
  writeFileSync(config, JSON.stringify(configOf(directory, options)))
  const program = findZotProgram('zot')
  if (program === undefined) throw new Error(`zot not found; to get it: ${howToGet('zot')}`)
  return Server.start({
    name: 'zot',
    program,
    args: ['serve', config],
    home: directory,
    findUrl: (log) => {
      const port = /kernel chosen port".*?"port":(\d+)/.exec(log)?.[1]
      return port && `http://127.0.0.1:${port}`
    },
  })
}

function configOf(directory: string, { syncOf }: ZotOptions): object {
  const registries = [{ urls: [syncOf], onDemand: true, tlsVerify: false }]
  return {
    distSpecVersion: '1.1.1',
    storage: { rootDirectory: join(directory, 'data'), commit: true },
    // By default a request that takes longer than a minute is cut off.
    http: { address: '127.0.0.1', port: '0', readTimeout: '10m', writeTimeout: '10m' },
    log: { level: 'info' },
    ...(syncOf !== undefined && { extensions: { sync: { enable: true, registries } } }),
  }
}
