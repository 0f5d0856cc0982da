/**
 * What every part of a running server is made from.
 */
import type { Authenticator } from '../auth/authenticator.ts'
import type { Config } from '../config/config.ts'
import type { LastReload } from '../config/watch.ts'
import type { PullCounts } from '../registry/pull-counts.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import type { Admitting } from './admitting.ts'
import type { Stores } from './stores.ts'

/** Whoever reloads the configuration says how it went. */
export interface Reloads {
  readonly lastReload: LastReload
}

export interface Foundation {
  readonly config: Config
  readonly log: Logger
  readonly reloads: Reloads
  /** What puts a changed configuration in force, in this order. */
  readonly onReload: ((changed: Config) => void)[]
  readonly stores: Stores
  readonly authenticator: Authenticator
  readonly admitting: Admitting
  readonly upstreams: Upstreams
  readonly proxyName: string
  readonly counts: PullCounts
  /** Closes what is opened on the way. */
  readonly resources: AsyncDisposableStack
}
