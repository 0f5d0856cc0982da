/**
 * `trow import SOURCE`: takes what another registry or tool keeps on disk into a running Trow, or into
 * the data directory of one that does not run. The source is only read.
 */
import { Command } from 'commander'
import { StartError } from '../lib/start-error.ts'
import { MoveError } from '../moving/content-source.ts'
import { openSource } from '../moving/detect-source.ts'
import { OciError } from '../oci/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import { addFormatOptions } from './format-options.ts'
import type { Host } from './host.ts'
import { interruption } from './interruption.ts'
import { jobsOption, type MoveFlags, moveImages } from './move-images.ts'
import { openTarget } from './move-target.ts'
import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, type RegistryFlags } from './registry-options.ts'
import { trowPlaceDefault } from './registry-place.ts'
import { collected } from './repeated-flag.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

interface ImportFlags extends RegistryFlags, MoveFlags {
  readonly registry?: string
  readonly dataDir?: string
  readonly configFile?: readonly string[]
  readonly repository?: string
}

type CommandHost = Pick<Host, 'onSignal' | 'exit' | 'environment'>

export function importCommand(host: CommandHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('import')
    .description('take images from the files of another registry or tool')
    .argument('<source>', 'data of Trow 0.10, distribution or zot; OCI layout; docker save archive')
    .option('--registry <registry>', `the Trow they go to; ${trowPlaceDefault} if none is named`)
    .option('-d, --data-dir <directory>', 'of a Trow that does not run, in place of a running one')
    .option('-c, --config-file <file>', 'its configuration, with --data-dir', collected)
    .option('--repository <name>', 'where the images of a layout or an archive go')
    .option('--dry-run', 'say what would be imported, and import nothing')
    .addOption(jobsOption())
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command).action(async (path: string, flags: ImportFlags) => {
    try {
      await importFrom(path, flags, host, terminal)
    } catch (error) {
      if (error instanceof MoveError) throw new StartError(error.message, { cause: error })
      throw explainFailure(error, flags)
    }
  })
}

async function importFrom(
  path: string,
  flags: ImportFlags,
  host: CommandHost,
  terminal: Terminal,
): Promise<void> {
  const repository = parseRepository(flags.repository)
  const signal = interruption(host, 'interrupted; the same command goes on where it was')
  await using source = await openSource(path, repository, signal)
  const { registry, dataDir, configFile } = flags
  const target = { registry, registryFlags: flags, dataDir, configFile, jobs: flags.jobs }
  await using destination = await openTarget(target, host, terminal, signal)
  await moveImages({ source, destination, terminal, signal, word: 'imported' }, flags)
}

function parseRepository(text: string | undefined): RepositoryName | undefined {
  try {
    return text === undefined ? undefined : parseRepositoryName(text)
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    throw usageError(`--repository: ${error.message}`, error)
  }
}
