/** Backups and restores, put together. The registry whose directory is copied may be running. */
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { limits } from '../config/limits.ts'
import { version } from '../config/version.ts'
import { StartError } from '../lib/start-error.ts'
import { SqliteSnapshots } from '../metadata/sqlite-snapshots.ts'
import type { OperationEvent, OperationWork } from '../registry/operation.ts'
import type { OperationKind } from '../registry/operations.ts'
import { Backup } from '../storage/backup/backup.ts'
import { DirectoryTarget } from '../storage/backup/directory-target.ts'
import { Restore } from '../storage/backup/restore.ts'
import { markName } from '../storage/backup/names.ts'
import { readDirectorySource, readTarSource, type SourceFile } from '../storage/backup/source.ts'
import { TarTarget } from '../storage/backup/tar-target.ts'
import { UnreadableFile } from '../storage/backup/verified-copy.ts'
import { isMissing } from '../storage/filesystem/file-error.ts'
import { sizeOf } from '../storage/filesystem/file-size.ts'
import { DataLayout } from '../storage/filesystem/layout.ts'
import { makeOperations } from './collecting.ts'
import { quiet, requireDataDirectory } from './offline.ts'

/**
 * @param target a directory, or a stream that gets an archive.
 * @param options.verifies of a directory: what it holds already, too.
 */
export async function* backUp(
  dataDir: string,
  target: string | Writable,
  options: { readonly verifies: boolean },
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  await requireDataDirectory(dataDir)
  const layout = new DataLayout(resolve(dataDir))
  await using opened =
    typeof target === 'string'
      ? await DirectoryTarget.open(resolve(target), options).catch(explain)
      : new TarTarget(target)
  const snapshots = new SqliteSnapshots(layout.database)
  const settings = { snapshotsMax: limits.backupSnapshotsMax, version }
  yield* work('backup', signal, (monitor) =>
    new Backup({ layout, snapshots, target: opened }, settings, monitor).run(),
  )
}

/** @param source a directory, the path of an archive, or a stream of one. */
export async function* restore(
  source: string | Readable,
  dataDir: string,
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  const layout = new DataLayout(resolve(dataDir))
  const files = await openSource(source).catch(explain)
  const snapshots = new SqliteSnapshots(layout.database)
  const settings = {
    fileBytesMax: limits.backupFileBytesMax,
    sparedShare: limits.restoreSparedShare,
  }
  yield* work('restore', signal, (monitor) =>
    new Restore({ layout, snapshots, files }, settings, monitor).run(),
  )
}

async function openSource(source: string | Readable): Promise<AsyncIterable<SourceFile>> {
  if (typeof source !== 'string') return readTarSource(source)
  const path = resolve(source)
  const found = await stat(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
    throw new StartError(`there is no backup at ${path}`, { cause: error })
  })
  if (!found.isDirectory()) return readTarSource(path)
  // A misspelt one must not leave a half-made data directory, on which Trow would not start.
  if ((await sizeOf(join(path, markName))) === undefined) {
    throw new StartError(`${path} is no backup: it holds no ${markName}; nothing was changed`)
  }
  return readDirectorySource(path)
}

async function* work(
  kind: OperationKind,
  signal: AbortSignal,
  run: OperationWork,
): AsyncGenerator<OperationEvent> {
  const explained: OperationWork = (monitor) => run(monitor).catch(explain)
  await using operation = makeOperations(quiet).start(kind, explained, signal)
  yield* operation.events()
}

/** What the system refuses is told: a full disk, a directory of somebody else. */
function explain(error: unknown): never {
  if (!(error instanceof Error)) throw error
  if (!('code' in error || error instanceof UnreadableFile)) throw error
  throw new StartError(error.message, { cause: error })
}
