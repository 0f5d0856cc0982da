/** What every verb is told about the request it serves, as its first argument. */
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Action } from '../oci/scope.ts'

/** The part of a logger that the registry uses; pino's methods fit. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Who asks. */
export interface Principal {
  /** User name, or `anonymous`. */
  readonly name: string
  may(action: Action, repository: RepositoryName): boolean
}

export interface RequestContext {
  /** Shown to the client and on every log line. */
  readonly id: string
  readonly log: Log
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
  /** The proxies that the request came through, in order, as entries of `Via` (RFC 9110, 7.6.3). */
  readonly via: readonly string[]
  readonly principal: Principal
}
