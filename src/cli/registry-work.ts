/**
 * Work on a whole registry, of a running Trow or, with `--data-dir`, in the data directory of one that
 * does not run: the flags that say which, and the events that come of it.
 */
import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import type { FlagValues } from '../config/sources.ts'
import { addFormatOptions } from './format-options.ts'
import type { Host } from './host.ts'
import { interruption } from './interruption.ts'
import type { OperationEvent } from './operation-events.ts'
import { explainFailure } from './registry-failure.ts'
import { collected } from './repeated-flag.ts'
import { addRegistryOptions, openTrow, type RegistryFlags } from './registry-options.ts'
import { parseTrowPlace, trowPlaceDefault } from './registry-place.ts'
import type { Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

export interface WorkFlags extends RegistryFlags {
  readonly dataDir?: string
  readonly configFile?: readonly string[]
  readonly format: 'text' | 'json'
}

export type WorkHost = Pick<Host, 'onSignal' | 'exit' | 'environment'>

export interface Work {
  /** Of a running Trow, below `/api/`. */
  readonly path: string
  readonly offline: (config: Config, signal: AbortSignal) => Promise<AsyncIterable<OperationEvent>>
  /** What is said when it is interrupted. */
  readonly interrupted: string
  readonly show: (events: AsyncIterable<OperationEvent>) => Promise<void>
}

export function addWorkOptions(command: Command): Command {
  command
    .argument('[registry]', `the Trow; ${trowPlaceDefault} if none is named`)
    .option('-d, --data-dir <directory>', 'of a Trow that does not run, in place of a running one')
    .option('-c, --config-file <file>', 'its configuration, with --data-dir', collected)
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command)
}

/** @throws StartError */
export async function doWork(
  registry: string | undefined,
  flags: WorkFlags,
  { host, terminal }: { readonly host: WorkHost; readonly terminal: Terminal },
  work: Work,
): Promise<void> {
  try {
    const signal = interruption(host, work.interrupted)
    if (flags.dataDir === undefined) await online(registry, flags, { terminal, signal }, work)
    else await offline(registry, flags, { host, signal }, work)
  } catch (error) {
    throw explainFailure(error, flags)
  }
}

async function online(
  registry: string | undefined,
  flags: WorkFlags,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: AbortSignal },
  { path, show }: Work,
): Promise<void> {
  if (flags.configFile !== undefined) {
    throw usageError('--config-file goes with --data-dir: a running Trow has its own')
  }
  const place = parseTrowPlace(registry ?? trowPlaceDefault)
  await using trow = await openTrow(place, flags, terminal, { signal, connectionsMax: 1 })
  await show(trow.follow(path, signal))
}

async function offline(
  registry: string | undefined,
  { dataDir = '', configFile = [] }: WorkFlags,
  { host, signal }: { readonly host: WorkHost; readonly signal: AbortSignal },
  work: Work,
): Promise<void> {
  if (registry !== undefined) throw usageError('name a registry or --data-dir, not both')
  const flags: FlagValues = new Map<string, string | readonly string[]>([
    ['--data-dir', dataDir],
    ['--config-file', configFile],
  ])
  const { config } = await loadConfig({ flags, environment: host.environment })
  await work.show(await work.offline(config, signal))
}
