/** Where images go: a Trow that runs, or the data directory of one that does not. */
import { loadConfig } from '../config/load.ts'
import type { FlagValues } from '../config/sources.ts'
import type { ContentDestination } from '../moving/content-source.ts'
import { RegistryDestination } from '../moving/registry-destination.ts'
import type { Host } from './host.ts'
import { connectionsFor } from './move-images.ts'
import { openPush, type RegistryFlags } from './registry-options.ts'
import { parseTrowPlace, trowPlaceDefault } from './registry-place.ts'
import type { Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

export interface MoveTarget {
  readonly registry: string | undefined
  readonly registryFlags: RegistryFlags
  readonly dataDir: string | undefined
  readonly configFile: readonly string[] | undefined
  readonly jobs: number
}

/** @throws StartError, of exit code 2 when the flags make no sense together. */
export async function openTarget(
  { registry, registryFlags, dataDir, configFile, jobs }: MoveTarget,
  host: Pick<Host, 'environment'>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ContentDestination> {
  if (dataDir === undefined) {
    if (configFile !== undefined) {
      throw usageError('--config-file goes with --data-dir: a running Trow has its own')
    }
    const place = parseTrowPlace(registry ?? trowPlaceDefault)
    const options = { signal, connectionsMax: connectionsFor(jobs) }
    return new RegistryDestination(await openPush(place, registryFlags, terminal, options))
  }
  if (registry !== undefined) throw usageError('name a registry or --data-dir, not both')
  const given: FlagValues = new Map<string, string | readonly string[]>([
    ['--data-dir', dataDir],
    ['--config-file', configFile ?? []],
  ])
  const { config } = await loadConfig({ flags: given, environment: host.environment })
  const { openImportTarget } = await import('../app/import-target.ts')
  return await openImportTarget(config, signal)
}
