/**
 * Keeps the configuration in force up to date: loads it again on request or when one of its files
 * changes, and hands over what is valid. A broken configuration changes nothing; it is reported, and
 * its files go on being watched, so that mending them is noticed.
 */
import { ConfigError } from './config-error.ts'
import { applicableConfig, changesNeedingRestart, type Config } from './config.ts'
import { fingerprint, type Fingerprints } from './file-reader.ts'
import { limits } from './limits.ts'
import type { LoadedConfig } from './load.ts'

/** The part of a logger that is used here; pino's methods fit. */
interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface ReloadOptions {
  readonly initial: LoadedConfig
  readonly load: () => Promise<LoadedConfig>
  readonly log: Log
}

/** The outcome of the last attempt. */
export interface LastReload {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly ok: boolean
}

export class ConfigWatcher implements Disposable {
  readonly #load: () => Promise<LoadedConfig>
  readonly #log: Log
  #apply: (config: Config) => void = () => {}
  #current: Config
  #watched: Fingerprints
  #lastReload: LastReload
  /** How the files looked at the last poll. */
  #lastLooks = ''
  #queue: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #isDisposed = false

  constructor({ initial, load, log }: ReloadOptions) {
    this.#load = load
    this.#log = log
    this.#current = initial.config
    this.#watched = initial.fingerprints
    this.#lastReload = { at: Date.now(), ok: true }
  }

  /** The configuration in force. */
  get current(): Config {
    return this.#current
  }

  get lastReload(): LastReload {
    return this.#lastReload
  }

  /**
   * Looks for changed files from now on, without keeping the process alive.
   * @param apply puts a new configuration in force; if it throws, the old one counts as in force.
   */
  start(apply: (config: Config) => void): void {
    this.#apply = apply
    const tick = (): void => {
      if (this.#isDisposed) return
      this.#timer = setTimeout(
        () => void this.poll().finally(tick),
        limits.configPollSeconds * 1000,
      )
      this.#timer.unref()
    }
    tick()
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    clearTimeout(this.#timer)
  }

  /**
   * Loads again if a file has changed since it was last read, and looks as it did at the poll before:
   * a file that is being written, emptied for a moment, must not open the registry to everybody.
   */
  async poll(): Promise<void> {
    const looks: string[] = []
    const changed: string[] = []
    for (const [path, before] of this.#watched) {
      const now = await fingerprint(path)
      looks.push(now)
      if (now !== before) changed.push(path)
    }
    const isSettled = looks.join() === this.#lastLooks
    this.#lastLooks = looks.join()
    if (changed.length > 0 && isSettled) await this.reload(`changed: ${changed.join(', ')}`)
  }

  /** Loads again, after reloads that are under way. Never rejects. */
  reload(reason: string): Promise<void> {
    this.#queue = this.#queue.then(() => this.#reload(reason))
    return this.#queue
  }

  async #reload(reason: string): Promise<void> {
    if (this.#isDisposed) return
    try {
      const loaded = await this.#load()
      this.#watched = loaded.fingerprints
      this.#applyAll(loaded, reason)
      this.#lastReload = { at: Date.now(), ok: true }
    } catch (error) {
      this.#lastReload = { at: Date.now(), ok: false }
      this.#failed(error, reason)
    }
  }

  #applyAll(loaded: LoadedConfig, reason: string): void {
    const needRestart = changesNeedingRestart(this.#current, loaded.config)
    const next = applicableConfig(this.#current, loaded.config)
    this.#apply(next)
    this.#current = next
    this.#log.info({ reason }, 'configuration reloaded')
    for (const warning of loaded.warnings) this.#log.warn({}, warning)
    if (needRestart.length === 0) return
    const keys = needRestart.join(', ')
    this.#log.warn(
      { keys: needRestart },
      `a change of ${keys} needs a restart, the rest is applied`,
    )
  }

  #failed(error: unknown, reason: string): void {
    const message = 'configuration not reloaded, the previous one stays in force'
    if (!(error instanceof ConfigError)) {
      this.#log.error({ reason, err: error }, message)
      return
    }
    this.#watched = error.fingerprints
    this.#log.error({ reason, problems: error.problems }, message)
  }
}
