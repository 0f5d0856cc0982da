// The real registry that the simulation drives: its verbs over files and SQLite in a temporary
// directory, with stores that can be told to fail, and that can be stopped and started.

import { mkdir, readdir } from 'node:fs/promises'
import { openSqlite } from '../../src/metadata/sqlite.ts'
import { SqlMetadataStore } from '../../src/metadata/sql-metadata-store.ts'
import { BlobPromises } from '../../src/registry/blob-promises.ts'
import { Blobs } from '../../src/registry/blobs.ts'
import { CacheUses } from '../../src/registry/cache-uses.ts'
import { Collector } from '../../src/registry/collector.ts'
import { Images } from '../../src/registry/images.ts'
import { KnownDamage } from '../../src/registry/known-damage.ts'
import { ContentLocks } from '../../src/registry/content-locks.ts'
import { LinkKeeper } from '../../src/registry/link-keeper.ts'
import { Listings } from '../../src/registry/listings.ts'
import { Manifests } from '../../src/registry/manifests.ts'
import { Mounts } from '../../src/registry/mounts.ts'
import type { BlobStore } from '../../src/registry/ports/blob-store.ts'
import type { LinkStore } from '../../src/registry/ports/link-store.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import type { UploadStore } from '../../src/registry/ports/upload-store.ts'
import { ReadChecks } from '../../src/registry/read-checks.ts'
import { ContentRemoval } from '../../src/registry/remove-content.ts'
import { Uploads } from '../../src/registry/uploads.ts'
import { FilesystemBlobStore } from '../../src/storage/filesystem/blob-store.ts'
import { LinkLog } from '../../src/storage/filesystem/link-log.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { SharedReads } from '../../src/storage/filesystem/shared-reads.ts'
import { FilesystemUploadStore } from '../../src/storage/filesystem/upload-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { Faults, FaultyBlobStore, FaultyUploadStore } from '../support/faulty-stores.ts'
import { noTagPolicy } from '../support/no-policy.ts'
import { silentLog } from '../support/request-context.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

/** Small, so that little content crosses many of them. */
export const bufferBytes = 1_024

/** Of the collector: small, so that a pass has many parts. */
const collectorBounds = { rowsPerStep: 3, perWriteMax: 2, tagsMax: 100, pauseShare: 0 }
export const graceSeconds = 60
export const renewalSeconds = 10

export interface RegistryUnderTest extends AsyncDisposable {
  readonly metadata: MetadataStore
  readonly blobStore: BlobStore
  readonly uploadStore: UploadStore
  readonly locks: ContentLocks
  readonly checks: ReadChecks
  readonly blobs: Blobs
  readonly uploads: Uploads
  readonly mounts: Mounts
  readonly manifests: Manifests
  readonly listings: Listings
  readonly promises: BlobPromises
  readonly collector: Collector
  readonly images: Images
  readonly uses: CacheUses
  readonly links: LinkKeeper
  readonly linkStore: LinkStore
  readonly faults: Faults
  /** Names of what is staged. */
  listStaged(): Promise<string[]>
}

/** Starts on an empty directory, or on what an earlier one left there. */
export async function startRegistry(root: string, clock: FakeClock): Promise<RegistryUnderTest> {
  const layout = new DataLayout(root)
  for (const directory of layout.directories()) await mkdir(directory, { recursive: true })
  const databases = await openSqlite(layout.database)
  const metadata = new SqlMetadataStore(databases, clock)
  const reads = new SharedReads({ bytes: bufferBytes, idleBytesMax: 2 * bufferBytes })
  const faults = new Faults()
  const blobs = new FaultyBlobStore(new FilesystemBlobStore(layout, reads), faults)
  const staging = new FilesystemUploadStore(layout, reads, { writeBytes: bufferBytes })
  const uploadStore = new FaultyUploadStore(staging, faults)
  const locks = new ContentLocks()
  const stores = { metadata, blobs, uploads: uploadStore, locks, clock }
  const promises = new BlobPromises(stores, { graceSeconds, renewalSecondsMax: renewalSeconds })
  const uploads = new Uploads(stores, { digestersMax: 2 })
  await uploads.removeLeftovers()
  const uses = new CacheUses(
    { ...stores, log: silentLog },
    { flushSeconds: 3_600, gatheredMax: 1_000, perWriteMax: 100 },
  )
  const linkStore = await LinkLog.open(layout.links)
  const links = new LinkKeeper(
    { metadata, links: linkStore, log: silentLog },
    { perWriteMax: 3, rowsPerPage: 2, tidySeconds: 3_600, slackBytes: 2_000 },
  )
  const damage = new KnownDamage()
  const manifests = new Manifests(
    { ...stores, damage, uses, links },
    { referencesMax: 100, cacheEntriesMax: 20, cacheBytesMax: 20_000, tagPolicy: noTagPolicy },
  )
  const removal = new ContentRemoval(stores, { atOnceMax: 2 })
  const collector = new Collector(
    {
      ...stores,
      uploads,
      promises,
      uses,
      manifests,
      damage,
      removal,
      monotonicClock: clock,
      log: silentLog,
    },
    collectorBounds,
    { graceSeconds, uploadIdleSeconds: graceSeconds, tagPolicy: noTagPolicy },
  )
  const checks = new ReadChecks(
    { ...stores, damage, log: silentLog },
    { rememberedMax: 3, rememberedSeconds: graceSeconds },
    true,
  )
  return {
    metadata,
    blobStore: blobs,
    checks,
    uploadStore,
    locks,
    faults,
    uploads,
    promises,
    collector,
    images: new Images(
      { ...stores, manifests, links },
      { rowsPerDeletion: 2, tagsPerPage: 2, tagPolicy: noTagPolicy },
    ),
    uses,
    blobs: new Blobs({ ...stores, promises, damage, checks }),
    mounts: new Mounts(stores, { candidatesMax: 10 }),
    manifests,
    listings: new Listings(metadata, { referrersBytesMax: 1_000_000 }),
    listStaged: () => readdir(layout.uploads),
    links,
    linkStore,
    [Symbol.asyncDispose]: async () => {
      await checks[Symbol.asyncDispose]()
      await links[Symbol.asyncDispose]()
      await linkStore[Symbol.asyncDispose]()
      await databases[Symbol.asyncDispose]()
    },
  }
}

export interface StartedRegistry extends AsyncDisposable {
  /** Its data directory. */
  readonly path: string
  readonly registry: RegistryUnderTest
  readonly clock: FakeClock
}

/** In a directory that goes with it. */
export async function startTemporaryRegistry(): Promise<StartedRegistry> {
  const directory = await temporaryDirectory()
  const clock = new FakeClock()
  const registry = await startRegistry(directory.path, clock)
  return {
    path: directory.path,
    registry,
    clock,
    [Symbol.asyncDispose]: async () => {
      await registry[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}
