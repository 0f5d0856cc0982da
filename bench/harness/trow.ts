// Trow as a server under measurement, as it is published and started by operators: the bundle, its
// defaults, its log as JSON lines.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makePackage } from '../../scripts/release/package.ts'
import { runtimeFlags } from '../../scripts/release/runtime-flags.ts'
import type { Bench } from './bench.ts'
import type { Scratch } from './scratch.ts'
import { Server } from './server.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

export interface TrowOptions {
  /** Registries on this machine that it may pull from, `127.0.0.1:4711`. */
  readonly upstreams?: readonly string[]
  readonly tagTtlSeconds?: number
  /** As in the configuration. */
  readonly gc?: object
  /** Where it keeps its data; a new one if absent. */
  readonly dataDirectory?: string
  /** Where a profile of the processor is written when it ends. */
  readonly profileDirectory?: string
}

/** @returns the file to run. */
export async function packageTrow(scratch: Scratch): Promise<string> {
  const directory = scratch.directory('package')
  await makePackage(directory)
  return join(directory, 'dist/main.js')
}

export async function startTrow(
  { scratch, program }: Bench,
  options: TrowOptions = {},
): Promise<Server> {
  const directory = scratch.directory('trow')
  const config = join(directory, 'trow.yaml')
  writeFileSync(config, JSON.stringify(configOf(options)))
  const { profileDirectory } = options
  // Profiles are of the sources: in a bundle all functions are on the same line.
  const run =
    profileDirectory === undefined
      ? [...runtimeFlags, program]
      : [
          ...runtimeFlags,
          '--cpu-prof',
          `--cpu-prof-dir=${profileDirectory}`,
          join(root, 'src/main.ts'),
        ]
  return Server.start({
    name: 'trow',
    program: join(root, 'bin/node'),
    args: [
      ...run,
      'serve',
      '--bind=127.0.0.1:0',
      `--data-dir=${options.dataDirectory ?? join(directory, 'data')}`,
      `--config-file=${config}`,
      '--log-format=json',
    ],
    home: directory,
    findUrl: (log) => /"address":"([^"]+)".*"msg":"ready"/.exec(log)?.[1],
  })
}

/** Of a repository of `upstream` in the cache: clients cannot write a colon into a path. */
export function cachedRepository(upstream: Server, repository: string): string {
  return `f/${upstream.host.replace(':', '_')}/${repository}`
}

/** YAML, so JSON will do. */
function configOf({ upstreams = [], tagTtlSeconds, gc }: TrowOptions): object {
  return {
    ...(gc !== undefined && { gc }),
    registry_proxies: {
      ...(tagTtlSeconds !== undefined && { tag_ttl: `${tagTtlSeconds}s` }),
      registries: upstreams.map((host) => ({ host, insecure: true })),
    },
  }
}
