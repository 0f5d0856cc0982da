/**
 * Work on the data directory of a registry that does not run. The directory is taken as a server takes
 * it, so nobody else can use it meanwhile; nothing is made where there is none.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { findDatabaseProblem } from '../metadata/sqlite-check.ts'
import type { OperationEvent, OperationMonitor, OperationWork } from '../registry/operation.ts'
import type { Log } from '../registry/request-context.ts'
import type { OperationKind } from '../registry/operations.ts'
import { Rebuild, type RebuildReport } from '../registry/rebuild.ts'
import type { ScrubOptions } from '../registry/scrub.ts'
import { Uploads } from '../registry/uploads.ts'
import type { DataDirectory } from '../storage/filesystem/data-directory.ts'
import type { PutAside } from '../storage/filesystem/database-file.ts'
import { makeCollector, makeOperations, makePromises } from './collecting.ts'
import { keepLinks } from './links.ts'
import { makeScrub } from './scrubbing.ts'
import { openStores, type Stores } from './stores.ts'

/** @throws StartError when there is no data directory, or a process uses it. */
export async function* collectOffline(
  config: Config,
  options: { readonly dryRun: boolean },
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  yield* workOffline(config, 'gc', signal, (stores, log) => {
    const uploads = new Uploads(stores, { digestersMax: limits.uploadDigestersMax })
    const promises = makePromises(config, stores)
    const parts = {
      uploads,
      promises,
      uses: nobodys,
      manifests: nobodys,
      log,
    }
    const collector = makeCollector(config, stores, parts, 0)
    return (monitor) => collector.collect(options, monitor)
  })
}

/**
 * With repair a database that is damaged or lost is put aside and made anew first.
 * @throws as above
 */
export async function* scrubOffline(
  config: Config,
  options: ScrubOptions,
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  await requireDataDirectory(config.dataDir)
  await using resources = new AsyncDisposableStack()
  const opened = await openStores(config, resources, {
    findDatabaseProblem: (path) => findDatabaseProblem(path, signal),
    ...(options.repair && { putDatabaseAside: 'if damaged' }),
  })
  const { directory, stores } = opened
  const links = keepLinks({ stores, log: quiet, resources })
  const scrub = makeScrub(stores, { links, log: quiet })
  const work: OperationWork = async (monitor) => {
    const { putAside } = directory
    const rest = { ...options, skipsDatabase: true }
    if (putAside === undefined) return await scrub.scrub(rest, monitor)
    await monitor.tell(describePutAside(directory, putAside))
    // What a manifest needs and is not there, the scrub tells.
    const rebuilt = await rebuild(opened, { tellsIncomplete: false }, monitor)
    // Links that are lost as well may have told of bytes that nobody has now.
    const report = await scrub.scrub({ ...rest, keepsOrphans: true }, monitor)
    return { ...report, unrepaired: report.unrepaired + rebuilt.problems, rebuilt }
  }
  const operation = resources.use(makeOperations(quiet).start('scrub', work, signal))
  yield* operation.events()
}

function describePutAside({ layout }: DataDirectory, { reason, path }: PutAside): object {
  const where = path === undefined ? '' : `; the file is kept as ${path}`
  const message =
    `the metadata database ${layout.database} ${reason}${where}: ` +
    'it is made anew from links.log and the manifests'
  return { problem: 'database', message, repaired: true, ...(path !== undefined && { path }) }
}

/** The database is put aside first, whatever is in it. @throws as above */
export async function* rebuildOffline(
  config: Config,
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  await requireDataDirectory(config.dataDir)
  await using resources = new AsyncDisposableStack()
  const opened = await openStores(config, resources, { putDatabaseAside: 'always' })
  const work: OperationWork = (monitor) => rebuild(opened, { tellsIncomplete: true }, monitor)
  const operation = resources.use(makeOperations(quiet).start('rebuild', work, signal))
  yield* operation.events()
}

async function rebuild(
  { stores, directory }: { readonly stores: Stores; readonly directory: DataDirectory },
  settings: { readonly tellsIncomplete: boolean },
  monitor: OperationMonitor,
): Promise<RebuildReport> {
  const { manifestBytesMax } = limits
  const report = await new Rebuild(stores, { ...settings, manifestBytesMax }, monitor).run()
  await directory.completeDatabase()
  return report
}

async function* workOffline(
  config: Config,
  kind: OperationKind,
  signal: AbortSignal,
  makeWork: (stores: Stores, log: Log) => OperationWork,
): AsyncGenerator<OperationEvent> {
  await requireDataDirectory(config.dataDir)
  await using resources = new AsyncDisposableStack()
  const { stores } = await openStores(config, resources)
  const operations = makeOperations(quiet)
  const operation = resources.use(operations.start(kind, makeWork(stores, quiet), signal))
  yield* operation.events()
}

/** A misspelled path must not become an empty registry. */
export async function requireDataDirectory(path: string): Promise<void> {
  const file = join(path, 'format.json')
  const error = await stat(file).then(
    () => undefined,
    (cause: NodeJS.ErrnoException) => cause,
  )
  if (error === undefined) return
  const { code, message } = error
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    throw new StartError(`${path} is no data directory of Trow: it holds no format.json`)
  }
  const advice = code === 'EACCES' ? '; run this as the user that Trow runs as' : ''
  throw new StartError(`data directory ${path} cannot be read: ${message}${advice}`, {
    cause: error,
  })
}

/** Nobody uses what does not run. */
export const nobodys = {
  flush: async () => nothing(),
  has: () => false,
  forget: nothing,
  touch: nothing,
  untouch: nothing,
}

/** What there is to say, the command says. */
export const quiet: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }

function nothing(): void {}
