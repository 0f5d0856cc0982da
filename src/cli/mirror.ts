/**
 * `trow mirror REGISTRY`: copies what another registry has into a Trow, with all platforms and what
 * refers to the images. The same command again brings what is new.
 */
import { Command } from 'commander'
import { StartError } from '../lib/start-error.ts'
import { parseNamePattern } from '../lib/name-pattern.ts'
import { MoveError } from '../moving/content-source.ts'
import { RegistrySource, type WantedImages } from '../moving/registry-source.ts'
import { OciError } from '../oci/errors.ts'
import { parseRepositoryIn, type RegistryHost } from '../oci/image-reference.ts'
import { addFormatOptions } from './format-options.ts'
import type { Host } from './host.ts'
import { interruption } from './interruption.ts'
import { jobsOption, type MoveFlags, moveImages } from './move-images.ts'
import { openTarget } from './move-target.ts'
import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, openRegistry, type RegistryFlags } from './registry-options.ts'
import { parsePlace, type RegistryPlace, trowPlaceDefault } from './registry-place.ts'
import { collected } from './repeated-flag.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

interface MirrorFlags extends RegistryFlags, MoveFlags {
  readonly to?: string
  readonly toUser?: string
  readonly toPassword?: string
  readonly toInsecure?: boolean
  readonly toCa?: string
  readonly dataDir?: string
  readonly configFile?: readonly string[]
  readonly repository?: readonly string[]
  readonly tag?: readonly string[]
}

type CommandHost = Pick<Host, 'onSignal' | 'exit' | 'environment'>

export function mirrorCommand(host: CommandHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('mirror')
    .description('copy what another registry has into a Trow')
    .argument('<registry>', 'host[:port], or host[:port]/repository')
    .option('--repository <name>', 'only this one; * stands for any characters', collected)
    .option('--tag <pattern>', 'only tags like this; * stands for any characters', collected)
    .option('--to <registry>', `the Trow they go to; ${trowPlaceDefault} if none is named`)
    .option('--to-user <name>', 'user to log in as there')
    .option('--to-password <password>', 'password there, or file://PATH')
    .option('--to-insecure', 'accept any certificate there, and plain HTTP')
    .option('--to-ca <file>', 'certificate authority (PEM) to trust there')
    .option('-d, --data-dir <directory>', 'of a Trow that does not run, in place of a running one')
    .option('-c, --config-file <file>', 'its configuration, with --data-dir', collected)
    .option('--dry-run', 'say what would be copied, and copy nothing')
    .addOption(jobsOption())
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command).action(async (registry: string, flags: MirrorFlags) => {
    try {
      await mirror(parsePlace(registry), flags, host, terminal)
    } catch (error) {
      if (error instanceof MoveError) throw new StartError(error.message, { cause: error })
      throw explainFailure(error, flags)
    }
  })
}

async function mirror(
  place: RegistryPlace,
  flags: MirrorFlags,
  host: CommandHost,
  terminal: Terminal,
): Promise<void> {
  const wanted = wantedImages(place, flags)
  const signal = interruption(host, 'interrupted; the same command goes on where it was')
  await using source = new RegistrySource(
    await openRegistry(place, flags, terminal, signal),
    wanted,
    { referrers: true },
  )
  const { to: registry, dataDir, configFile, jobs } = flags
  const registryFlags = targetFlags(flags)
  const target = { registry, registryFlags, dataDir, configFile, jobs }
  await using destination = await openTarget(target, host, terminal, signal)
  await moveImages({ source, destination, terminal, signal, word: 'copied' }, flags)
}

function wantedImages({ registry, repository }: RegistryPlace, flags: MirrorFlags): WantedImages {
  const { repository: names = [], tag: tags = [] } = flags
  if (repository !== undefined && names.length > 0) {
    throw usageError(`name ${repository} or --repository, not both`)
  }
  const patterns = names.filter((name) => name.includes('*'))
  const named = names.filter((name) => !name.includes('*'))
  if (repository === undefined && names.length === 0) patterns.push('*')
  return {
    named:
      repository === undefined ? named.map((name) => parseNamed(registry, name)) : [repository],
    patterns: patterns.map(parseNamePattern),
    tags: tags.map(parseNamePattern),
  }
}

function parseNamed(registry: RegistryHost, name: string) {
  try {
    return parseRepositoryIn(registry, name)
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    throw usageError(`--repository ${name}: ${error.message}`, error)
  }
}

function targetFlags({ toUser, toPassword, toInsecure, toCa }: MirrorFlags): RegistryFlags {
  return {
    ...(toUser !== undefined && { user: toUser }),
    ...(toPassword !== undefined && { password: toPassword }),
    ...(toInsecure !== undefined && { insecure: toInsecure }),
    ...(toCa !== undefined && { ca: toCa }),
  }
}
