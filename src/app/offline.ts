/**
 * Work on the data directory of a registry that does not run. The directory is taken as a server takes
 * it, so nobody else can use it meanwhile; nothing is made where there is none.
 */
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { SqliteSnapshots } from '../metadata/sqlite-snapshots.ts'
import type { OperationEvent } from '../registry/operation.ts'
import type { OperationWork } from '../registry/operation.ts'
import type { Log } from '../registry/request-context.ts'
import type { OperationKind } from '../registry/operations.ts'
import { DamageCounts } from '../registry/damage-counts.ts'
import { Rebuild } from '../registry/rebuild.ts'
import type { ScrubOptions } from '../registry/scrub.ts'
import { Uploads } from '../registry/uploads.ts'
import { DataLayout } from '../storage/filesystem/layout.ts'
import { makeCollector, makeOperations, makePromises } from './collecting.ts'
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
    const parts = { uploads, promises, uses: nobodys, manifests: nobodys, log }
    const collector = makeCollector(config, stores, parts, 0)
    return (monitor) => collector.collect(options, monitor)
  })
}

/** @throws as above */
export async function* scrubOffline(
  config: Config,
  options: ScrubOptions,
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  refuseDamagedDatabase(config.dataDir)
  yield* workOffline(config, 'scrub', signal, (stores) => {
    const scrub = makeScrub(stores, new DamageCounts())
    return (monitor) => scrub.scrub(options, monitor)
  })
}

/** All of it is read, which a running server would not have the time for. @throws StartError */
function refuseDamagedDatabase(dataDir: string): void {
  const { database } = new DataLayout(resolve(dataDir))
  if (!existsSync(database)) return
  const problem = new SqliteSnapshots(database).findProblem(database)
  if (problem === undefined) return
  throw new StartError(
    `the metadata database ${database} is damaged: ${problem}; make it anew: ` +
      `trow scrub --rebuild --data-dir ${dataDir}`,
  )
}

/** The database is put aside first, whatever is in it. @throws as above */
export async function* rebuildOffline(
  config: Config,
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  await requireDataDirectory(config.dataDir)
  await using resources = new AsyncDisposableStack()
  const options = { putDatabaseAside: true }
  const { stores, directory } = await openStores(config, resources, options)
  const settings = { manifestBytesMax: limits.manifestBytesMax }
  const work: OperationWork = async (monitor) => {
    const report = await new Rebuild(stores, settings, monitor).run()
    await directory.completeDatabase()
    return report
  }
  const operation = resources.use(makeOperations(quiet).start('rebuild', work, signal))
  yield* operation.events()
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
  const isThere = await stat(join(path, 'format.json')).then(
    () => true,
    () => false,
  )
  if (isThere) return
  throw new StartError(`${path} is no data directory of Trow: it holds no format.json`)
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
