/**
 * `trow serve` and its like: says what is configured, starts the registry, keeps its configuration up to date, and
 * ends it when asked to. Requests in progress are waited for once; a second signal is obeyed at once.
 */
import { constants } from 'node:os'
import type { Config } from '../config/config.ts'
import { type ConfigSources, loadConfig } from '../config/load.ts'
import { ConfigWatcher, type LastReload } from '../config/watch.ts'
import { createLogger, type Logger, setLogLevel } from '../telemetry/logger.ts'
import type { Host } from './host.ts'

/** The registry as far as this command is concerned. */
export interface RunningApp {
  /** Where it listens: `http://[::]:8000`. */
  readonly address: string
  reload(config: Config): void
  stop(graceSeconds: number): Promise<void>
}

export type StartApp = (
  config: Config,
  log: Logger,
  reloads: { readonly lastReload: LastReload },
) => Promise<RunningApp>

/** What runs until it is told to stop. */
export interface Program {
  /** What it says before its log begins. */
  readonly lines: (config: Config) => string[]
  readonly start: StartApp
}

/** @throws ConfigError, or what starting the program throws. */
export async function serve(
  sources: ConfigSources,
  host: Host,
  { lines, start }: Program,
): Promise<void> {
  const initial = await loadConfig(sources)
  const { config, dryRun, warnings } = initial
  for (const line of lines(config)) host.write(`${line}\n`)
  if (dryRun) {
    for (const warning of warnings) host.writeError(`trow: warning: ${warning}\n`)
    host.write('Dry run, exiting.\n')
    return
  }
  const log = await createLogger({
    level: config.logLevel,
    format: config.logFormat,
    isTerminal: host.isTerminal,
  })
  host.onFatal((error) => log.fatal({ err: error }, 'unexpected error, exiting'))
  for (const warning of warnings) log.warn({}, warning)

  const stopSignal = nextStopSignal(host, log)
  using watcher = new ConfigWatcher({ initial, load: () => loadConfig(sources), log })
  const starting = start(config, log, watcher)
  host.onSignal('SIGHUP', () => {
    log.info({ signal: 'SIGHUP' }, 'reloading the configuration')
    void starting.then(() => watcher.reload('SIGHUP'))
  })
  const app = await starting
  watcher.start((next) => {
    app.reload(next)
    setLogLevel(log, next.logLevel)
  })
  log.info({ address: app.address }, 'ready')

  const signal = await stopSignal
  watcher[Symbol.dispose]()
  const graceSeconds = watcher.current.shutdownGraceSeconds
  log.info({ signal, graceSeconds }, 'stopping, requests in progress may finish')
  await app.stop(graceSeconds)
  log.info({}, 'stopped')
  host.exit(0)
}

/** Resolves at the first signal to stop; the second ends the process. */
function nextStopSignal(host: Host, log: Logger): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  let isStopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    host.onSignal(signal, () => {
      if (isStopping) {
        log.warn({ signal }, 'second signal, exiting at once')
        host.exit(128 + constants.signals[signal])
      }
      isStopping = true
      resolve(signal)
    })
  }
  return promise
}
