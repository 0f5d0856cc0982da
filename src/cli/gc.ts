/**
 * `trow gc`: removes what nobody needs, now, from a running Trow or, with `--data-dir`, from the data
 * directory of one that does not run; or says what would be removed.
 */
import { Command } from 'commander'
import { printable } from '../oci/upstream-error.ts'
import { formatBytes, formatCount, shortDigest } from './format.ts'
import { type OperationEvent, watchOperation } from './operation-events.ts'
import { addWorkOptions, doWork, type WorkFlags, type WorkHost } from './registry-work.ts'
import { processTerminal, type Terminal } from './terminal.ts'

interface CollectFlags extends WorkFlags {
  readonly dryRun?: boolean
}

export function gcCommand(host: WorkHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('gc')
    .description('remove what nobody needs any more')
    .option('--dry-run', 'say what would be removed, and remove nothing')
  return addWorkOptions(command).action(
    async (registry: string | undefined, flags: CollectFlags) => {
      const dryRun = flags.dryRun === true
      await doWork(
        registry,
        flags,
        { host, terminal },
        {
          path: `gc?dry-run=${dryRun}`,
          offline: async (config, signal) => {
            const { collectOffline } = await import('../app/offline.ts')
            return collectOffline(config, { dryRun }, signal)
          },
          interrupted: 'interrupted; what was removed until now is removed',
          show: (events) => show(events, flags, terminal),
        },
      )
    },
  )
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
    ...(count('waiting') > 0
      ? [
          `${formatCount(count('waiting'), 'blob')} that no manifest needs kept for now: pushed or asked for within gc.grace`,
        ]
      : []),
    `${formatCount(count('blobs'), 'blob')} that no repository has ${verb}: ${formatBytes(count('bytes'))}`,
  ]
  return `${lines.join('\n')}\n`
}
