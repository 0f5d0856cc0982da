/**
 * The configuration as the program uses it: read, checked, complete and never changed. A reload makes
 * a new one, in which what cannot change while the program runs is as it was.
 */
import type { AddressRange } from './address-range.ts'
import { type BindAddress, formatHostPort } from './host-port.ts'
import type { KeyPath } from './layer.ts'
import type { logFormats, logLevels, Settings } from './schema.ts'
import { Secret } from './secret.ts'

export type LogLevel = (typeof logLevels)[number]
export type LogFormat = (typeof logFormats)[number]

export interface TlsConfig {
  readonly certFile: string
  readonly keyFile: string
  /** PEM; the two belong together. */
  readonly cert: string
  readonly key: Secret
}

export interface User {
  readonly name: string
  readonly password: Secret
}

export interface RegistryProxy {
  readonly host: string
  /** Without slashes at its ends; absent when the entry is for all of the host. */
  readonly pathPrefix?: string
  readonly user?: User
  /** Plain HTTP. */
  readonly insecure: boolean
}

export interface RegistryProxies {
  readonly offline: boolean
  readonly maxSizeBytes?: number
  readonly registries: readonly RegistryProxy[]
}

export interface ImageValidation {
  readonly default: 'Allow' | 'Deny'
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

export interface Config {
  readonly bind: BindAddress
  readonly dataDir: string
  /** At least one; the address listened on when no name was given. */
  readonly hostnames: readonly [string, ...string[]]
  readonly tls?: TlsConfig
  readonly auth: { readonly user?: User; readonly anonymousPull: boolean }
  /** Empty when no other origin may use the registry. */
  readonly cors: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly trustedProxies: readonly AddressRange[]
  readonly uploadIdleSeconds: number
  readonly shutdownGraceSeconds: number
  readonly registryProxies: RegistryProxies
  readonly imageValidation?: ImageValidation
  /** Every file it was made from: a change of one calls for a reload. */
  readonly files: readonly string[]
}

/** Contents of files that settings name, by the path of the setting. */
export type FileContents = (path: KeyPath) => string | undefined

export function makeConfig(
  settings: Settings,
  contents: FileContents,
  files: readonly string[],
): Config {
  const bind = settings.bind
  const [first = formatHostPort(bind), ...others] = settings.hostname
  return Object.freeze({
    bind,
    dataDir: settings.data_dir,
    hostnames: [first, ...others] as const,
    ...tlsConfig(settings, contents),
    auth: {
      anonymousPull: settings.auth.anonymous_pull,
      ...user(settings.auth.user, settings.auth.password, contents(['auth'])),
    },
    cors: settings.cors,
    logLevel: settings.log_level,
    logFormat: settings.log_format,
    trustedProxies: settings.trusted_proxies,
    uploadIdleSeconds: settings.uploads.idle_timeout,
    shutdownGraceSeconds: settings.shutdown_grace,
    registryProxies: registryProxies(settings, contents),
    ...(settings.image_validation && { imageValidation: settings.image_validation }),
    files,
  })
}

function tlsConfig({ tls }: Settings, contents: FileContents): { tls?: TlsConfig } {
  const [cert, key] = [contents(['tls', 'cert']), contents(['tls', 'key'])]
  if (tls === undefined || cert === undefined || key === undefined) return {}
  return { tls: { certFile: tls.cert, keyFile: tls.key, cert, key: new Secret(key) } }
}

function user(
  name: string | undefined,
  password: string | undefined,
  fromFile: string | undefined,
): { user?: User } {
  const value = fromFile ?? password
  return name === undefined || value === undefined
    ? {}
    : { user: { name, password: new Secret(value) } }
}

function registryProxies(
  { registry_proxies: { offline, max_size, registries } }: Settings,
  contents: FileContents,
): RegistryProxies {
  return {
    offline,
    ...(max_size !== undefined && { maxSizeBytes: max_size }),
    registries: registries.map((entry, index) => ({
      host: entry.host,
      ...(entry.path_prefix && { pathPrefix: entry.path_prefix }),
      ...user(entry.username, entry.password, contents(['registry_proxies', 'registries', index])),
      insecure: entry.insecure,
    })),
  }
}

/** @returns the keys whose change only a restart can apply. */
export function changesNeedingRestart(running: Config, next: Config): string[] {
  const changes = [
    ['bind', formatHostPort(running.bind) !== formatHostPort(next.bind)],
    ['data_dir', running.dataDir !== next.dataDir],
    ['tls', (running.tls === undefined) !== (next.tls === undefined)],
    ['log_format', running.logFormat !== next.logFormat],
  ] as const
  return changes.filter(([, changed]) => changed).map(([key]) => key)
}

/** @returns `next`, with what only a restart can change as it is in `running`. */
export function applicableConfig(running: Config, next: Config): Config {
  const { tls, ...rest } = next
  const keptTls = running.tls === undefined ? {} : { tls: tls ?? running.tls }
  const { bind, dataDir, logFormat } = running
  return Object.freeze({ ...rest, ...keptTls, bind, dataDir, logFormat })
}
