/**
 * Where content is kept: opens the drivers of bytes and of metadata. The only file that names them.
 */
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { openSqlite } from '../metadata/sqlite.ts'
import { SqlMetadataStore } from '../metadata/sql-metadata-store.ts'
import { ContentLocks } from '../registry/content-locks.ts'
import { KnownDamage } from '../registry/known-damage.ts'
import type { BlobStore } from '../registry/ports/blob-store.ts'
import type { LinkStore } from '../registry/ports/link-store.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type { MetadataStore } from '../registry/ports/metadata-store.ts'
import type { UploadStore } from '../registry/ports/upload-store.ts'
import { FilesystemBlobStore } from '../storage/filesystem/blob-store.ts'
import { DataDirectory } from '../storage/filesystem/data-directory.ts'
import type { DatabaseOptions } from '../storage/filesystem/database-file.ts'
import { LinkLog } from '../storage/filesystem/link-log.ts'
import type { DataLayout } from '../storage/filesystem/layout.ts'
import { SharedReads } from '../storage/filesystem/shared-reads.ts'
import { FilesystemUploadStore } from '../storage/filesystem/upload-store.ts'

export interface Stores {
  readonly links: LinkStore
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly uploads: UploadStore
  readonly locks: ContentLocks
  /** What of all this was found to be damaged. */
  readonly damage: KnownDamage
  readonly clock: Clock
}

/**
 * @throws StartError when the data directory or its database cannot be opened.
 */
export async function openStores(
  config: Config,
  resources: AsyncDisposableStack,
  options: DatabaseOptions = {},
): Promise<{ stores: Stores; root: string; directory: DataDirectory }> {
  const directory = resources.use(await DataDirectory.open(config.dataDir, options))
  const { layout } = directory
  const databases = resources.use(
    await openSqlite(layout.database, { beforeNew: () => directory.requireNew() }),
  )
  const clock: Clock = { now: () => Date.now() }
  const reads = new SharedReads({
    bytes: limits.readBufferBytes,
    idleBytesMax: limits.readBuffersIdleBytesMax,
    takenBytesMax: limits.readBuffersBytesMax,
    bytesMin: limits.readBufferBytesMin,
  })
  const metadata = new SqlMetadataStore(databases, clock)
  const stores = {
    metadata,
    links: await openLinks(layout, metadata, resources),
    blobs: new FilesystemBlobStore(layout, reads),
    uploads: new FilesystemUploadStore(layout, reads, {
      writeBytes: limits.uploadWriteBytes,
      gatheredBytesMax: limits.uploadGatheredBytesMax,
      syncBytes: limits.uploadSyncBytes,
      syncsAtOnce: limits.uploadSyncsAtOnce,
    }),
    locks: new ContentLocks(),
    damage: new KnownDamage(),
    clock,
  }
  return { stores, root: layout.root, directory }
}

/** Where there are none yet, or somebody removed or emptied them, all of them are to be told. */
async function openLinks(
  { links: path }: DataLayout,
  metadata: SqlMetadataStore,
  resources: AsyncDisposableStack,
): Promise<LinkStore> {
  const links = resources.use(await LinkLog.open(path))
  if (links.bytes === 0) await metadata.noteAllLinks()
  return links
}
