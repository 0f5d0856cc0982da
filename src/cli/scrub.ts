/**
 * `trow scrub`: looks whether all that a Trow holds is as it should be, and repairs what can be repaired;
 * or makes the metadata database anew from what is on disk. Exit code 1 says that something is wrong still.
 */
import { Command } from 'commander'
import { parseByteSize } from '../config/byte-size.ts'
import { InvalidSetting } from '../config/invalid-setting.ts'
import { StartError } from '../lib/start-error.ts'
import { isRecord } from '../oci/descriptor.ts'
import { printable } from '../oci/upstream-error.ts'
import { formatBytes, formatCount } from './format.ts'
import { type OperationEvent, watchOperation } from './operation-events.ts'
import { addWorkOptions, doWork, type WorkFlags, type WorkHost } from './registry-work.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

interface ScrubFlags extends WorkFlags {
  readonly repair?: boolean
  readonly rebuild?: boolean
  readonly rate?: string
}

export function scrubCommand(host: WorkHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('scrub')
    .description('check all that is stored: digests, sizes, references')
    .option('--repair', 'put damaged content aside and remove what nobody has')
    .option('--rate <bytes>', 'bytes a second to read at most, such as 50MB')
    .option('--rebuild', 'make the database anew from what is on disk; with --data-dir')
  return addWorkOptions(command).action(async (registry: string | undefined, flags: ScrubFlags) => {
    if (flags.rebuild === true) await rebuild(registry, flags, host, terminal)
    else await scrub(registry, flags, host, terminal)
  })
}

async function scrub(
  registry: string | undefined,
  flags: ScrubFlags,
  host: WorkHost,
  terminal: Terminal,
): Promise<void> {
  const repair = flags.repair === true
  const rateBytes = readRate(flags.rate)
  const rate = rateBytes === undefined ? '' : `&rate=${rateBytes}`
  await doWork(
    registry,
    flags,
    { host, terminal },
    {
      path: `scrub?repair=${repair}${rate}`,
      offline: async (config, signal) => {
        const { scrubOffline } = await import('../app/offline.ts')
        return scrubOffline(
          config,
          { repair, ...(rateBytes !== undefined && { rateBytes }) },
          signal,
        )
      },
      interrupted:
        'interrupted; what was repaired until now is repaired, start it again for the rest',
      show: (events) => show(events, flags, terminal, describeScrub),
    },
  )
}

async function rebuild(
  registry: string | undefined,
  flags: ScrubFlags,
  host: WorkHost,
  terminal: Terminal,
): Promise<void> {
  if (flags.repair === true) {
    throw usageError(
      '--rebuild and --repair do not go together: --repair makes a damaged database anew by itself',
    )
  }
  if (flags.dataDir === undefined) {
    throw usageError('--rebuild needs --data-dir: Trow must not run meanwhile')
  }
  await doWork(
    registry,
    flags,
    { host, terminal },
    {
      path: '',
      offline: async (config, signal) => {
        const { rebuildOffline } = await import('../app/offline.ts')
        return rebuildOffline(config, signal)
      },
      interrupted: 'interrupted; start it again with --rebuild, the database is not complete',
      show: (events) => show(events, flags, terminal, describeRebuild),
    },
  )
}

function readRate(rate: string | undefined): number | undefined {
  try {
    return rate === undefined ? undefined : parseByteSize(rate)
  } catch (error) {
    if (error instanceof InvalidSetting) throw usageError(`--rate: ${error.message}`)
    throw error
  }
}

async function show(
  events: AsyncIterable<OperationEvent>,
  { format }: ScrubFlags,
  terminal: Terminal,
  describe: (report: Readonly<Record<string, unknown>>) => string,
): Promise<void> {
  const report: Readonly<Record<string, unknown>> = {
    ...(await watchOperation(events, terminal, (item) => {
      terminal.write(format === 'json' ? `${JSON.stringify({ item })}\n` : describeItem(item))
    })),
  }
  terminal.write(format === 'json' ? `${JSON.stringify({ report })}\n` : `${describe(report)}\n`)
  const left = Number(report['unrepaired'] ?? report['problems'] ?? 0)
  if (left > 0) throw new StartError(`${formatCount(left, 'problem')} left, see above`)
}

/** What is wrong, where, and what to do. */
function describeItem(item: object): string {
  const { problem, digest, repository, reference, message, repositories } = item as Item
  if (repository === undefined && digest === undefined) return `${printable(message)}\n`
  const what = digest === undefined ? `${repository}: ${reference}` : `${problem}: ${digest}`
  const where = repositories?.length ? ` (${repositories.join(', ')})` : ''
  return `${printable(`${what}${where}: ${message}`)}\n`
}

interface Item {
  readonly problem?: string
  readonly digest?: string
  readonly repository?: string
  readonly reference?: string
  readonly message: string
  readonly repositories?: readonly string[]
}

function describeScrub(report: Readonly<Record<string, unknown>>): string {
  const { rebuilt } = report
  const first = isRecord(rebuilt) ? `${describeRebuild(rebuilt)}\n` : ''
  return `${first}${describeChecked(report)}`
}

function describeChecked(report: Readonly<Record<string, unknown>>): string {
  const looked =
    `${formatCount(Number(report['blobs']), 'blob')} (${formatBytes(Number(report['bytes']))}) and ` +
    `${formatCount(Number(report['manifests']), 'manifest')} checked`
  const problems = Object.entries((report['problems'] ?? {}) as Record<string, number>)
  const found = problems.filter(([, count]) => count > 0)
  if (found.length === 0) return `${looked}: all is well`
  return `${looked}: ${found.map(([kind, count]) => `${count} ${kind}`).join(', ')}`
}

function describeRebuild(report: Readonly<Record<string, unknown>>): string {
  const count = (key: string): number => Number(report[key] ?? 0)
  return (
    `the database is made anew: ${formatCount(count('repositories'), 'repository')}, ` +
    `${formatCount(count('manifests'), 'manifest')}, ${formatCount(count('tags'), 'tag')}`
  )
}
