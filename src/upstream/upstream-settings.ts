/** What the pull-through is told about other registries. */
import type { RegistryHost } from '../oci/image-reference.ts'

/** `Secret` of the configuration fits. */
interface Revealing {
  reveal(): string
}

export interface UpstreamSettings {
  /** No other registry is asked for anything. */
  readonly offline: boolean
  /** Whether hosts without an entry may be asked: all, none, or those that match a pattern. */
  readonly allowUnlisted: boolean | readonly string[]
  /** Asked for what comes without the name of a registry, under the name that it comes with. */
  readonly defaultUpstream?: RegistryHost
  readonly registries: readonly UpstreamEntry[]
}

export interface UpstreamEntry {
  readonly host: string
  /** The longest one that fits a repository wins; an entry without it is for all the others. */
  readonly pathPrefix?: string
  readonly user?: { readonly name: string; readonly password: Revealing }
  /** Plain HTTP. */
  readonly insecure: boolean
  /** Takes any certificate. */
  readonly skipVerify: boolean
  /** Authorities (PEM) that count beside Node's own. */
  readonly ca?: string
  readonly clientCertificate?: { readonly cert: string; readonly key: Revealing }
  /** Hosts that are asked in this order in place of `host`; none means `host` itself. */
  readonly endpoints: readonly string[]
  /** `HOST[:PORT]`: token services on other sites that may have the credentials. */
  readonly authHosts?: readonly string[]
  readonly connectTimeoutSeconds?: number
  readonly headersTimeoutSeconds?: number
  readonly maxConnections?: number
  readonly requestsPerSecond?: number
}

/** The part of a logger that is used here; pino's methods fit. */
export interface UpstreamLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
