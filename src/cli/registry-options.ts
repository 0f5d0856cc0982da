/**
 * The flags of every command that asks another registry, and the client they make: who logs in,
 * which certificates count, and when plain HTTP is spoken. Only `--insecure`, an `http://` in front
 * and the loopback addresses allow it.
 */
import { X509Certificate } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import type { Command } from 'commander'
import { FileReader } from '../config/file-reader.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { RegistryClient, type RegistryClientOptions } from '../upstream/client.ts'
import { PushClient } from '../upstream/push-client.ts'
import { type Credentials, PasswordCredentials } from '../upstream/credentials.ts'
import { isLoopbackHost, type Scheme } from '../upstream/endpoint.ts'
import { findCredentials } from '../upstream/find-credentials.ts'
import { Proxies } from '../upstream/proxies.ts'
import { Transport, type TransportOptions } from '../upstream/transport.ts'
import type { RegistryPlace } from './registry-place.ts'
import type { Terminal } from './terminal.ts'
import { TrowClient } from './trow-client.ts'
import { usageError } from './usage-error.ts'

const filePrefix = 'file://'

export interface RegistryFlags {
  readonly user?: string
  readonly password?: string
  readonly passwordStdin?: boolean
  readonly insecure?: boolean
  readonly ca?: string
}

export function addRegistryOptions(command: Command): Command {
  return command
    .option('-u, --user <name>', 'user to log in as; by default the logins of docker and podman')
    .option('-p, --password <password>', 'password, or file://PATH to read it from a file')
    .option('--password-stdin', 'read the password from standard input')
    .option('--insecure', 'accept any certificate, and plain HTTP')
    .option('--ca <file>', 'certificate authority (PEM) to trust beside the usual ones')
}

/** @throws StartError when a file is of no use, with exit code 2 when the flags are. */
export async function openRegistry(
  place: RegistryPlace,
  flags: RegistryFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<RegistryClient> {
  return new RegistryClient(await connectionTo(place, flags, terminal, { signal }))
}

/**
 * @param connectionsMax how many requests there may be at a time.
 * @throws as `openRegistry`.
 */
export async function openTrow(
  place: RegistryPlace,
  flags: RegistryFlags,
  terminal: Terminal,
  { signal, connectionsMax }: { readonly signal: AbortSignal; readonly connectionsMax: number },
): Promise<TrowClient> {
  // It may have to wait for an upstream first, and for a transfer to be resumed.
  const transport = {
    connectionsMax,
    headersSecondsMax: limits.trowHeadersSecondsMax,
    bodyIdleSecondsMax: limits.trowBodyIdleSecondsMax,
  }
  return new TrowClient(await connectionTo(place, flags, terminal, { signal, transport }))
}

/**
 * @param connectionsMax how many requests there may be at a time.
 * @throws as `openRegistry`.
 */
export async function openPush(
  place: RegistryPlace,
  flags: RegistryFlags,
  terminal: Terminal,
  { signal, connectionsMax }: { readonly signal: AbortSignal; readonly connectionsMax: number },
): Promise<PushClient> {
  const transport = { connectionsMax, headersSecondsMax: limits.trowHeadersSecondsMax }
  return new PushClient(await connectionTo(place, flags, terminal, { signal, transport }))
}

interface ConnectionOptions {
  readonly signal: AbortSignal
  readonly transport?: TransportOptions
}

async function connectionTo(
  place: RegistryPlace,
  flags: RegistryFlags,
  terminal: Terminal,
  { signal, transport = {} }: ConnectionOptions,
): Promise<RegistryClientOptions> {
  const credentials = await chooseCredentials(place, flags, terminal, signal)
  const schemes = chooseSchemes(place, flags)
  const authorities = schemes.includes('https') ? await readAuthorities(flags) : []
  return {
    registry: place.registry,
    transport: new Transport({
      ...transport,
      authorities,
      verifyCertificates: !flags.insecure,
      proxies: new Proxies(terminal.environment),
    }),
    schemes,
    credentials,
  }
}

/** As other clients do, plain HTTP goes without saying on this machine itself. */
export function chooseSchemes(place: RegistryPlace, flags: RegistryFlags): Scheme[] {
  if (place.scheme !== undefined) return [place.scheme]
  if (flags.ca !== undefined) return ['https']
  if (isLoopbackHost(place.registry)) return ['http', 'https']
  return flags.insecure ? ['https', 'http'] : ['https']
}

async function chooseCredentials(
  { registry, repository }: RegistryPlace,
  flags: RegistryFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Credentials | undefined> {
  const { user, password, passwordStdin } = flags
  const hasPassword = password !== undefined || passwordStdin === true
  if (user === undefined && hasPassword) throw usageError('a password needs a user: -u NAME')
  if (user === undefined) {
    const { environment, homeDirectory } = terminal
    return await findCredentials(registry, repository, { environment, homeDirectory, signal })
  }
  if (!hasPassword) throw usageError('a user needs a password: -p PASSWORD or --password-stdin')
  if (user.includes(':')) throw usageError('a user name cannot hold a colon')
  return new PasswordCredentials(user, await readPassword(flags, terminal))
}

async function readPassword(flags: RegistryFlags, terminal: Terminal): Promise<string> {
  const { password = '', passwordStdin } = flags
  if (passwordStdin && flags.password !== undefined) {
    throw usageError('--password and --password-stdin exclude each other')
  }
  if (passwordStdin) {
    const bytes = await terminal.readInput(limits.passwordBytesMax)
    if (bytes.length <= limits.passwordBytesMax) return withoutLineBreak(bytes.toString())
    throw new StartError(`the password is larger than ${limits.passwordBytesMax} bytes`)
  }
  if (!password.startsWith(filePrefix)) return password
  return withoutLineBreak(
    await readText(password.slice(filePrefix.length), limits.passwordBytesMax),
  )
}

/** A file ends in a line break that is no part of the password. */
function withoutLineBreak(text: string): string {
  return text.replace(/\r?\n$/, '')
}

/** Those of the system too, which Node leaves out and other clients do not. */
async function readAuthorities({ ca, insecure }: RegistryFlags): Promise<string[]> {
  if (insecure) return []
  const system = getCACertificates('system')
  if (ca === undefined) return system
  const text = await readText(ca, limits.tlsFileBytesMax)
  try {
    void new X509Certificate(text)
  } catch (cause) {
    throw new StartError(`the file ${ca} holds no certificate in PEM form`, { cause })
  }
  return [...system, text]
}

async function readText(path: string, bytesMax: number): Promise<string> {
  const read = await new FileReader().read(path, bytesMax)
  if ('problem' in read) throw new StartError(`the file ${path} ${read.problem}`)
  return read.text
}
