/**
 * `trow backup` and `trow restore`: all that a data directory holds, to a directory or an archive and back.
 * A backup is taken while the registry runs, on the machine that has its directory.
 */
import { Command } from 'commander'
import { StartError } from '../lib/start-error.ts'
import { printable } from '../oci/upstream-error.ts'
import { addFormatOptions } from './format-options.ts'
import { formatBytes, formatCount } from './format.ts'
import { interruption } from './interruption.ts'
import { type OperationEvent, watchOperation } from './operation-events.ts'
import type { WorkHost } from './registry-work.ts'
import { processTerminal, type Terminal } from './terminal.ts'

interface CopyFlags {
  readonly dataDir: string
  readonly format: 'text' | 'json'
}

export function backupCommand(host: WorkHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('backup')
    .description('copy all that a data directory holds, while Trow runs or not')
    .argument('<target>', 'directory, or - for a tar archive to standard output')
    .option('-d, --data-dir <directory>', 'of the Trow (TROW_DATA_DIR)', dataDirOf(host))
    .option('--verify', 'read what the target holds already, and copy anew what is damaged', false)
  addFormatOptions(command, ['text', 'json'])
  return command.action(async (target: string, flags: CopyFlags & { readonly verify: boolean }) => {
    const signal = interruption(host, 'interrupted; the backup is not complete, start it again')
    const { backUp } = await import('../app/backup.ts')
    const isStream = target === '-'
    const events = backUp(
      flags.dataDir,
      isStream ? process.stdout : target,
      { verifies: flags.verify },
      signal,
    )
    // What an archive is written to is no place for words.
    const tell = (text: string): void =>
      isStream ? terminal.writeError(text) : terminal.write(text)
    await show(events, flags, { terminal, tell }, (report) => {
      const copied = `${formatCount(Number(report['copied']), 'blob')} copied`
      const all = formatCount(Number(report['blobs']), 'blob')
      return `${copied} (${formatBytes(Number(report['copiedBytes']))}) of ${all} (${formatBytes(Number(report['bytes']))})`
    })
  })
}

/** Where the registry of the same environment has its data: in a container nobody need name it. */
function dataDirOf({ environment }: WorkHost): string {
  return environment['TROW_DATA_DIR'] || './data'
}

export function restoreCommand(host: WorkHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('restore')
    .description('make a data directory of a backup; Trow must not run on it')
    .argument(
      '<source>',
      'directory or tar archive of a backup, or - for an archive from standard input',
    )
    .requiredOption('-d, --data-dir <directory>', 'where to; empty, or not there yet')
  addFormatOptions(command, ['text', 'json'])
  return command.action(async (source: string, flags: CopyFlags) => {
    const signal = interruption(host, 'interrupted; run it again, it goes on where it stopped')
    const { restore } = await import('../app/backup.ts')
    const events = restore(source === '-' ? process.stdin : source, flags.dataDir, signal)
    await show(events, flags, { terminal, tell: (text) => terminal.write(text) }, (report) => {
      const blobs = formatCount(Number(report['blobs']), 'blob')
      return `${blobs} (${formatBytes(Number(report['bytes']))}) restored and verified`
    })
  })
}

async function show(
  events: AsyncIterable<OperationEvent>,
  { format }: CopyFlags,
  { terminal, tell }: { readonly terminal: Terminal; readonly tell: (text: string) => void },
  describe: (report: Readonly<Record<string, unknown>>) => string,
): Promise<void> {
  const isJson = format === 'json'
  const watched = await watchOperation(events, terminal, (item) => {
    const { digest, message } = item as { digest: string; message: string }
    tell(isJson ? `${JSON.stringify({ item })}\n` : `${printable(`${digest}: ${message}`)}\n`)
  })
  const report: Readonly<Record<string, unknown>> = { ...watched }
  tell(isJson ? `${JSON.stringify({ report })}\n` : `${describe(report)}\n`)
  const problems = Number(report['problems'])
  if (problems > 0) throw new StartError(`${formatCount(problems, 'problem')}, see above`)
}
