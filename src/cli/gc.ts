/**
 * `trow gc`: removes what nobody needs, now, from a running Trow or, with `--data-dir`, from the data
 * directory of one that does not run; or says what would be removed.
 */
import { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { FlagValues } from '../config/sources.ts'
import { printable } from '../oci/upstream-error.ts'
import { addFormatOptions } from './format-options.ts'
import { formatBytes, formatCount, shortDigest } from './format.ts'
import type { Host } from './host.ts'
import { interruption } from './interruption.ts'
import { type OperationEvent, watchOperation } from './operation-events.ts'
import { explainFailure } from './registry-failure.ts'
import { collected } from './repeated-flag.ts'
import { addRegistryOptions, openTrow, type RegistryFlags } from './registry-options.ts'
import { parseTrowPlace, trowPlaceDefault } from './registry-place.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

interface CollectFlags extends RegistryFlags {
  readonly dryRun?: boolean
  readonly dataDir?: string
  readonly configFile?: readonly string[]
  readonly format: 'text' | 'json'
}

type CommandHost = Pick<Host, 'onSignal' | 'exit' | 'environment'>

export function gcCommand(host: CommandHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('gc')
    .description('remove what nobody needs any more')
    .argument('[registry]', `the Trow; ${trowPlaceDefault} if none is named`)
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .option('-d, --data-dir <directory>', 'of a Trow that does not run, in place of a running one')
    .option('-c, --config-file <file>', 'its configuration, with --data-dir', collected)
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command).action(
    async (registry: string | undefined, flags: CollectFlags) => {
      try {
        await collect(registry, flags, host, terminal)
      } catch (error) {
        throw explainFailure(error, flags)
      }
    },
  )
}

async function collect(
  registry: string | undefined,
  flags: CollectFlags,
  host: CommandHost,
  terminal: Terminal,
): Promise<void> {
  const signal = interruption(host, 'interrupted; what was removed until now is removed')
  if (flags.dataDir === undefined) {
    if (flags.configFile !== undefined) {
      throw usageError('--config-file goes with --data-dir: a running Trow has its own')
    }
    const place = parseTrowPlace(registry ?? trowPlaceDefault)
    await using trow = await openTrow(place, flags, terminal, { signal, connectionsMax: 1 })
    const path = `gc?dry-run=${flags.dryRun === true}`
    await show(trow.follow(path, signal), flags, terminal)
    return
  }
  if (registry !== undefined) throw usageError('name a registry or --data-dir, not both')
  const { dataDir, configFile = [] } = flags
  const given: FlagValues = new Map<string, string | readonly string[]>([
    ['--data-dir', dataDir],
    ['--config-file', configFile],
  ])
  const { config } = await loadConfig({ flags: given, environment: host.environment })
  const { collectOffline } = await import('../app/offline.ts')
  await show(collectOffline(config, { dryRun: flags.dryRun === true }, signal), flags, terminal)
}

async function show(
  events: AsyncIterable<OperationEvent>,
  { format }: CollectFlags,
  terminal: Terminal,
): Promise<void> {
  const report = await watchOperation(events, terminal, (item) => {
    terminal.write(format === 'json' ? `${JSON.stringify({ item })}\n` : describeItem(item))
  })
  terminal.write(format === 'json' ? `${JSON.stringify({ report })}\n` : describe(report))
}

/** An image that goes, and why. */
function describeItem(item: object): string {
  const { repository, digest, tags, reason } = item as DeletedImage
  const names = tags.length > 0 ? tags.map((tag) => `${repository}:${tag}`) : [repository]
  return printable(`${names.join(', ')}  ${shortDigest(digest)}  ${reason}`) + '\n'
}

interface DeletedImage {
  readonly repository: string
  readonly digest: string
  readonly tags: readonly string[]
  readonly reason: string
}

function describe(document: object): string {
  const report: Readonly<Record<string, unknown>> = { ...document }
  const count = (key: string): number => Number(report[key] ?? 0)
  const verb = report['dryRun'] === true ? 'would be removed' : 'removed'
  const lines = [
    ...(count('uploads') > 0 ? [`${formatCount(count('uploads'), 'idle upload')} ${verb}`] : []),
    ...(count('tags') + count('manifests') > 0
      ? [
          `${formatCount(count('tags'), 'tag')} and ${formatCount(count('manifests'), 'manifest')} ${verb}`,
        ]
      : []),
    ...(count('unneeded') > 0
      ? [
          `${formatCount(count('unneeded'), 'blob')} that no manifest of the repository needs ${verb}`,
        ]
      : []),
    `${formatCount(count('blobs'), 'blob')} that no repository has ${verb}: ${formatBytes(count('bytes'))}`,
  ]
  return `${lines.join('\n')}\n`
}
