/** The flags of `trow node-config`, and the settings that they make. */
import { readFile } from 'node:fs/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../config/duration.ts'
import { InvalidSetting } from '../config/invalid-setting.ts'
import { parseRegistrySetting } from '../config/registry-host.ts'
import type { Environment } from '../config/sources.ts'
import { type BottlerocketForm, bottlerocketForms } from '../node-config/bottlerocket.ts'
import { type Mirror, parseMirror } from '../node-config/mirror.ts'
import {
  allRegistries,
  type NamedRegistry,
  type NodePlaces,
  type NodeSettings,
} from '../node-config/runtime.ts'
import { OciError } from '../oci/errors.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { formatProxiedHost } from '../oci/proxied-name.ts'
import { addFormatOptions } from './format-options.ts'
import { usageError } from './usage-error.ts'

export interface PlaceFlags {
  readonly runtime?: string
  readonly root: string
  readonly hostsDir?: string
  readonly containerdConfig?: string
  readonly format: 'text' | 'json'
}

export interface MirrorFlags extends PlaceFlags {
  readonly mirror: readonly string[]
  readonly registry?: readonly NamedRegistry[]
  readonly ca?: string
  readonly fallback: boolean
}

export interface PrintFlags extends MirrorFlags {
  readonly form: BottlerocketForm
}

export interface InstallFlags extends MirrorFlags {
  readonly watch?: boolean
  readonly interval: number
  readonly uninstallOnExit?: boolean
}

/** @param runtimes those that the command is for. */
export function addPlaceOptions(command: Command, runtimes: readonly string[]): Command {
  return addFormatOptions(
    command
      .addOption(
        new Option(
          '--runtime <name>',
          'what pulls images on the node; otherwise it is found out',
        ).choices(runtimes),
      )
      .option('--root <directory>', 'the file system of the node', '/')
      .option('--containerd-config <file>', "containerd's configuration, if it is elsewhere")
      .option(
        '--hosts-dir <directory>',
        'where containerd has its hosts.toml files, if it is elsewhere',
      ),
    ['text', 'json'],
  )
}

export function addMirrorOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--mirror <url>', 'where the node reaches Trow, such as http://$(HOST_IP):30500')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--registry <host>',
        'registry whose images are pulled through Trow; otherwise all',
      ).argParser(collectRegistry),
    )
    .option('--ca <file>', 'authority (PEM) of a Trow that is reached over HTTPS')
    .option('--no-fallback', 'never ask the registry itself, not even when Trow is away')
}

export function addPrintOptions(command: Command): Command {
  return command.addOption(
    new Option('--form <form>', 'of what is printed for Bottlerocket')
      .choices(bottlerocketForms)
      .default('settings'),
  )
}

export function addInstallOptions(command: Command): Command {
  return command
    .option('--watch', 'stay, and write it again whenever it is changed or the authority is')
    .addOption(
      new Option('--interval <duration>', 'how often --watch looks')
        .argParser(parseInterval)
        .default(30, '30s'),
    )
    .option('--uninstall-on-exit', 'with --watch: take it away again when stopped (SIGTERM)')
}

/** @throws StartError with exit code 2 */
export async function readSettings(
  flags: MirrorFlags,
  environment: Environment,
): Promise<NodeSettings> {
  const [first, ...others] = flags.mirror.map((text) => readMirror(text, environment))
  if (first === undefined) throw usageError('--mirror is missing')
  return {
    mirrors: [first, ...others],
    registries: flags.registry ?? [allRegistries],
    ...(flags.ca !== undefined && { ca: await readAuthority(flags.ca) }),
    isFallingBack: flags.fallback,
  }
}

export function readPlaces({ containerdConfig, hostsDir }: PlaceFlags): NodePlaces {
  return {
    ...(containerdConfig !== undefined && { containerdConfig }),
    ...(hostsDir !== undefined && { hostsDirectory: hostsDir }),
  }
}

function readMirror(text: string, environment: Environment): Mirror {
  try {
    return parseMirror(text, environment)
  } catch (error) {
    if (error instanceof InvalidSetting) throw usageError(`--mirror: ${error.message}`)
    throw error
  }
}

async function readAuthority(file: string): Promise<string> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw usageError(`--ca: ${(error as Error).message}`, error)
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) {
    throw usageError(`--ca: ${file} holds no certificate in PEM`)
  }
  return text
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

function collectRegistry(value: string, before: readonly NamedRegistry[] = []): NamedRegistry[] {
  if (value === allRegistries) return [...before, value]
  return [...before, parsed(() => parseCachedHost(value))]
}

/** A host that Trow can have images of. */
function parseCachedHost(value: string): RegistryHost {
  const host = parseRegistrySetting(value)
  try {
    formatProxiedHost(host)
  } catch (error) {
    if (error instanceof OciError) throw new InvalidSetting(error.message)
    throw error
  }
  return host
}

function parseInterval(value: string): number {
  return parsed(() => parseDuration(value))
}

function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof InvalidSetting) throw new InvalidArgumentError(error.message)
    throw error
  }
}
