/**
 * The configuration as the program uses it: read, checked, complete and never changed. A reload makes
 * a new one, in which what cannot change while the program runs is as it was.
 */
import type { PolicySettings } from '../admission/policy-settings.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import type { AddressRange } from './address-range.ts'
import { type BindAddress, formatHostPort } from './host-port.ts'
import type { prefetchChoices } from './registry-proxies-schema.ts'
import type { logFormats, logLevels } from './schema.ts'
import type { Secret } from './secret.ts'
import type { TagPolicy } from './tag-policy.ts'

export type LogLevel = (typeof logLevels)[number]
export type LogFormat = (typeof logFormats)[number]
export type Prefetch = (typeof prefetchChoices)[number]

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
  readonly host: RegistryHost
  /** Without slashes at its ends; absent when the entry is for all of the host. */
  readonly pathPrefix?: string
  readonly user?: User
  /** Plain HTTP. */
  readonly insecure: boolean
  /** Accepts any certificate. */
  readonly skipVerify: boolean
  /** PEM; authorities that are trusted beside those that are anyway. */
  readonly ca?: string
  /** PEM; the two belong together. */
  readonly clientCertificate?: { readonly cert: string; readonly key: Secret }
  /** Hosts that are asked instead of `host`, in this order; empty for `host` alone. */
  readonly endpoints: readonly RegistryHost[]
  /** `HOST[:PORT]`: token services on other sites that may have the login. */
  readonly authHosts?: readonly string[]
  readonly connectTimeoutSeconds?: number
  readonly headersTimeoutSeconds?: number
  readonly maxConnections?: number
  readonly requestsPerSecond?: number
}

export interface RegistryProxies {
  readonly offline: boolean
  readonly maxSizeBytes?: number
  /** 0: a tag is checked on every pull. */
  readonly tagTtlSeconds: number
  readonly unknownTtlSeconds: number
  /** What a path without a registry means. */
  readonly defaultUpstream?: RegistryHost
  /** Registries without an entry: all, none, or those that fit one of `ghcr.io`, `*.example.com`. */
  readonly allowUnlisted: boolean | readonly string[]
  readonly prefetch: Prefetch
  readonly registries: readonly RegistryProxy[]
}

/** What is kept how long when nobody needs it. */
export interface Collection {
  readonly isEnabled: boolean
  readonly intervalSeconds: number
  readonly graceSeconds: number
  /** Absent when manifests without a tag are kept. */
  readonly untaggedSeconds?: number
}

/** Certificates that Trow makes, under an authority that its replicas share. */
export interface SelfManagedTls {
  readonly namespace?: string
  readonly secret: string
  readonly dnsNames: readonly string[]
  readonly validatingWebhook?: string
  readonly mutatingWebhook?: string
  readonly checkIntervalSeconds: number
}

export interface AdmissionServing {
  readonly bind: BindAddress
  /** Without a certificate there is no listener for the webhooks alone. */
  readonly certificate?: TlsConfig | SelfManagedTls
  readonly events: boolean
  readonly serviceAccountDir: string
}

export interface ImageMutation {
  /** `HOST[:PORT]` that images are rewritten to. */
  readonly registry: string
  readonly ignoreRepos: readonly string[]
  readonly pinDigests: boolean
}

/** Checking what is stored. */
export interface ScrubConfig {
  /** Absent when it is only done by hand. */
  readonly intervalSeconds?: number
  readonly rateBytes: number
}

export interface Config {
  readonly scrub: ScrubConfig
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
  readonly storage: {
    readonly maxBytes?: number
    readonly minFreeBytes?: number
    /** Whether a blob is hashed when it is read first. */
    readonly verifiesReads: boolean
  }
  readonly collection: Collection
  readonly tagPolicy: TagPolicy
  readonly shutdownGraceSeconds: number
  readonly registryProxies: RegistryProxies
  /** Which images may run. */
  readonly imageValidation?: PolicySettings
  readonly imageMutation?: ImageMutation
  readonly admission: AdmissionServing
  /** Every file it was made from: a change of one calls for a reload. */
  readonly files: readonly string[]
}

/** @returns the keys whose change only a restart can apply. */
export function changesNeedingRestart(running: Config, next: Config): string[] {
  const changes = [
    ['bind', formatHostPort(running.bind) !== formatHostPort(next.bind)],
    ['data_dir', running.dataDir !== next.dataDir],
    ['tls', (running.tls === undefined) !== (next.tls === undefined)],
    ['log_format', running.logFormat !== next.logFormat],
    ['admission', admissionOf(running) !== admissionOf(next)],
  ] as const
  return changes.filter(([, changed]) => changed).map(([key]) => key)
}

/** What of the listener for webhooks only a restart can change: all but the content of its files. */
function admissionOf({ admission }: Config): string {
  const { certificate, ...rest } = admission
  const isFiles = certificate !== undefined && 'cert' in certificate
  return JSON.stringify([rest, isFiles ? 'files' : certificate])
}

/** @returns `next`, with what only a restart can change as it is in `running`. */
export function applicableConfig(running: Config, next: Config): Config {
  const { tls, ...rest } = next
  const admission = admissionOf(running) === admissionOf(next) ? next.admission : running.admission
  const keptTls = running.tls === undefined ? {} : { tls: tls ?? running.tls }
  const { bind, dataDir, logFormat } = running
  return Object.freeze({ ...rest, ...keptTls, bind, dataDir, logFormat, admission })
}
