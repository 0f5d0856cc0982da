/**
 * The metadata store on a SQL database, SQLite or PostgreSQL: each verb is one transaction, and
 * nothing but SQL is awaited inside it.
 */
import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import { limits } from '../config/limits.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type {
  Evictable,
  EvictablePage,
  EvictionRequest,
  EvictionResult,
  ManifestUse,
} from '../registry/ports/cache-metadata.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type {
  ImageDeletion,
  ImageDeletionResult,
  RepositoryBlob,
  RepositoryCounts,
  RepositoryManifest,
  Scan,
  Scanned,
  ScannedTable,
  TagUse,
} from '../registry/ports/collection-metadata.ts'
import type { RepositoryTag } from '../registry/ports/integrity-metadata.ts'
import type { LinkChange } from '../registry/ports/link-metadata.ts'
import type {
  DeleteResult,
  MetadataStore,
  PageRequest,
  PutManifestOptions,
} from '../registry/ports/metadata-store.ts'
import type {
  BlobRecord,
  ContentCounts,
  ManifestEntry,
  ManifestRecord,
  Referrer,
  UploadRecord,
} from '../registry/ports/records.ts'
import type { UploadId } from '../registry/ports/upload-store.ts'
import * as blobs from './queries/blobs.ts'
import * as cache from './queries/cache.ts'
import * as collection from './queries/collection.ts'
import * as eviction from './queries/eviction.ts'
import * as images from './queries/images.ts'
import * as integrity from './queries/integrity.ts'
import * as links from './queries/links.ts'
import * as manifests from './queries/manifests.ts'
import * as repositories from './queries/repositories.ts'
import * as uploads from './queries/uploads.ts'
import type { Databases } from './sqlite.ts'

export class SqlMetadataStore implements MetadataStore {
  readonly #databases: Databases
  readonly #clock: Clock

  constructor(databases: Databases, clock: Clock) {
    this.#databases = databases
    this.#clock = clock
  }

  /** Takes the write lock without writing: a full or read-only disk is the blob store's to notice. */
  async check(): Promise<void> {
    await sql`select 1`.execute(this.#databases.reads)
    await this.#databases.write(async (transaction) => {
      await uploads.setUploadOffset(transaction, '' as UploadId, 0, this.#clock.now())
    })
  }

  async hasRepository(repository: RepositoryName): Promise<boolean> {
    const id = await repositories.findRepositoryId(this.#databases.reads, repository)
    return id !== undefined
  }

  hasContent(repository: RepositoryName): Promise<boolean> {
    return repositories.hasContent(this.#databases.reads, repository)
  }

  listRepositories(page: PageRequest): Promise<RepositoryName[]> {
    return repositories.listRepositories(this.#databases.reads, page)
  }

  findBlob(repository: RepositoryName, digest: Digest): Promise<BlobRecord | undefined> {
    return blobs.findBlob(this.#databases.reads, repository, digest)
  }

  putBlob(repository: RepositoryName, blob: BlobRecord, upload?: UploadId): Promise<void> {
    const now = this.#clock.now()
    return this.#databases.write(async (transaction) => {
      await blobs.insertContent(transaction, blob, now)
      await blobs.linkBlob(transaction, repository, blob.digest, now)
      if (upload !== undefined) await uploads.deleteUpload(transaction, upload)
    })
  }

  findRepositoriesWithBlob(digest: Digest, limit: number): Promise<RepositoryName[]> {
    return blobs.findRepositoriesWithBlob(this.#databases.reads, digest, limit)
  }

  mountBlob(
    repository: RepositoryName,
    digest: Digest,
    from: RepositoryName,
  ): Promise<BlobRecord | undefined> {
    return this.#databases.write(async (transaction) => {
      const blob = await blobs.findBlob(transaction, from, digest)
      if (blob) await blobs.linkBlob(transaction, repository, digest, this.#clock.now())
      return blob
    })
  }

  deleteBlob(repository: RepositoryName, digest: Digest): Promise<DeleteResult> {
    return this.#databases.write((transaction) => blobs.unlinkBlob(transaction, repository, digest))
  }

  findManifest(
    repository: RepositoryName,
    reference: Reference,
  ): Promise<ManifestRecord | undefined> {
    return manifests.findManifest(this.#databases.reads, repository, reference)
  }

  findMissingContent(
    repository: RepositoryName,
    manifest: Pick<ManifestEntry, 'blobs' | 'manifests'>,
  ): Promise<Digest[]> {
    return manifests.findMissingContent(this.#databases.reads, repository, manifest)
  }

  putManifest(
    repository: RepositoryName,
    manifest: ManifestEntry,
    tags: readonly Tag[],
    options: PutManifestOptions = { sparse: false },
  ): Promise<{ missing: Digest[]; fixed?: Tag }> {
    const now = this.#clock.now()
    return this.#databases.write((transaction) =>
      manifests.putManifest(transaction, repository, manifest, { tags, now, ...options }),
    )
  }

  deleteManifest(
    repository: RepositoryName,
    digest: Digest,
    isFixed: (tag: Tag) => boolean = () => false,
  ): Promise<DeleteResult> {
    const deletion = { digest, isFixed, now: this.#clock.now() }
    return this.#databases.write((transaction) =>
      manifests.deleteManifest(transaction, repository, deletion),
    )
  }

  listTags(repository: RepositoryName, page: PageRequest): Promise<Tag[]> {
    return manifests.listTags(this.#databases.reads, repository, page)
  }

  deleteTag(repository: RepositoryName, tag: Tag): Promise<boolean> {
    const now = this.#clock.now()
    return this.#databases.write((transaction) =>
      manifests.deleteTag(transaction, repository, tag, now),
    )
  }

  listReferrers(
    repository: RepositoryName,
    subject: Digest,
    page: PageRequest & { readonly artifactType?: string },
  ): Promise<Referrer[]> {
    return manifests.listReferrers(this.#databases.reads, repository, subject, page)
  }

  createUpload(upload: UploadRecord): Promise<void> {
    return this.#databases.write((transaction) => uploads.insertUpload(transaction, upload), {
      sync: 'left',
    })
  }

  findUpload(repository: RepositoryName, id: UploadId): Promise<UploadRecord | undefined> {
    return uploads.findUpload(this.#databases.reads, repository, id)
  }

  setUploadOffset(id: UploadId, offset: number): Promise<void> {
    const now = this.#clock.now()
    return this.#databases.write(
      (transaction) => uploads.setUploadOffset(transaction, id, offset, now),
      { sync: 'begun' },
    )
  }

  deleteUpload(id: UploadId): Promise<boolean> {
    return this.#databases.write((transaction) => uploads.deleteUpload(transaction, id))
  }

  listIdleUploads(before: number, limit: number): Promise<UploadRecord[]> {
    return uploads.listIdleUploads(this.#databases.reads, before, limit)
  }

  knownUploads(ids: readonly UploadId[]): Promise<Set<UploadId>> {
    return uploads.knownUploads(this.#databases.reads, ids)
  }

  countContent(): Promise<ContentCounts> {
    return repositories.countContent(this.#databases.reads)
  }

  touchManifests(uses: readonly ManifestUse[]): Promise<void> {
    return this.#databases.write((transaction) => cache.touchManifests(transaction, uses), {
      sync: 'left',
    })
  }

  measureCache(): Promise<number> {
    return cache.measureCache(this.#databases.reads)
  }

  findManifestWithBlob(repository: RepositoryName, blob: Digest): Promise<Digest | undefined> {
    return cache.findManifestWithBlob(this.#databases.reads, repository, blob)
  }

  listEvictable(page: EvictablePage): Promise<Evictable[]> {
    return cache.listEvictable(this.#databases.reads, page)
  }

  evict(entries: readonly Evictable[], request: EvictionRequest): Promise<EvictionResult> {
    return this.#databases.write((transaction) => eviction.evict(transaction, entries, request))
  }

  forgetContent(digests: readonly Digest[]): Promise<Digest[]> {
    return this.#databases.write((transaction) => eviction.forgetContent(transaction, digests))
  }

  listRemovals(limit: number): Promise<BlobRecord[]> {
    return eviction.listRemovals(this.#databases.reads, limit)
  }

  endRemovals(digests: readonly Digest[]): Promise<void> {
    return this.#databases.write((transaction) => eviction.endRemovals(transaction, digests))
  }

  async promiseBlob(
    repository: RepositoryName,
    digest: Digest,
    renewBefore: number,
  ): Promise<BlobRecord | undefined> {
    const found = await collection.findAskedBlob(this.#databases.reads, repository, digest)
    if (found === undefined) return undefined
    const { repositoryId, size, askedAt } = found
    if (askedAt >= renewBefore) return { digest, size }
    const now = this.#clock.now()
    const isThere = await this.#databases.write((transaction) =>
      blobs.touchBlob(transaction, repositoryId, digest, now),
    )
    return isThere ? { digest, size } : undefined
  }

  scanUnneededBlobs(before: number, scan: Scan): Promise<Scanned<RepositoryBlob>> {
    return collection.scanUnneededBlobs(this.#databases.reads, before, scan)
  }

  unlinkUnneededBlobs(
    unneeded: readonly Pick<RepositoryBlob, 'repository' | 'digest'>[],
    before: number,
  ): Promise<number> {
    return this.#databases.write((transaction) =>
      collection.unlinkUnneededBlobs(transaction, unneeded, before),
    )
  }

  scanUntagged(before: number, scan: Scan): Promise<Scanned<RepositoryManifest>> {
    return collection.scanUntagged(this.#databases.reads, before, scan)
  }

  deleteImage(deletion: ImageDeletion): Promise<ImageDeletionResult> {
    const now = this.#clock.now()
    return images.deleteImage((work) => this.#databases.write(work), deletion, now)
  }

  listTagsOf(repository: RepositoryName, digest: Digest): Promise<Tag[]> {
    return images.tagsOf(this.#databases.reads, repository, digest)
  }

  listTagUses(repository: RepositoryName, page: PageRequest): Promise<TagUse[]> {
    return collection.listTagUses(this.#databases.reads, repository, page)
  }

  countRepository(repository: RepositoryName): Promise<RepositoryCounts | undefined> {
    return images.countRepository(this.#databases.reads, repository)
  }

  deleteRepositoryPart(
    repository: RepositoryName,
    rows: number,
  ): Promise<{ isGone: boolean; manifests: number; blobs: number }> {
    return this.#databases.write((transaction) =>
      images.deleteRepositoryPart(transaction, repository, rows),
    )
  }

  scanNobodys(scan: Scan): Promise<Scanned<BlobRecord>> {
    return collection.scanNobodys(this.#databases.reads, scan)
  }

  measureContent(): Promise<number> {
    return collection.measureContent(this.#databases.reads)
  }

  countRows(table: ScannedTable): Promise<number> {
    return collection.countRows(this.#databases.reads, table)
  }

  knownContent(digests: readonly Digest[]): Promise<Set<Digest>> {
    return collection.knownContent(this.#databases.reads, digests)
  }

  lastLinkChange(): Promise<number> {
    return links.lastLinkChange(this.#databases.reads)
  }

  listLinkChanges(page: { after: number; upTo: number; limit: number }): Promise<LinkChange[]> {
    return links.listLinkChanges(this.#databases.reads, page)
  }

  /** Others are served between two steps: after all links were noted there are as many as of content. */
  async forgetLinkChanges(upTo: number): Promise<void> {
    for (;;) {
      const isMore = await this.#databases.write((transaction) =>
        links.forgetLinkChanges(transaction, { upTo, limit: limits.linksPerWrite }),
      )
      if (!isMore) return
      await setImmediate()
    }
  }

  noteAllLinks(): Promise<void> {
    return this.#databases.write((transaction) => links.noteAllLinks(transaction))
  }

  findDamage(signal: AbortSignal): Promise<string | undefined> {
    return this.#databases.findProblem(signal)
  }

  correctSize(content: BlobRecord): Promise<void> {
    return this.#databases.write((transaction) => integrity.correctSize(transaction, content))
  }

  listContent(page: PageRequest): Promise<BlobRecord[]> {
    return integrity.listContent(this.#databases.reads, page)
  }

  findHolders(digest: Digest, limit: number): Promise<RepositoryName[]> {
    return integrity.findHolders(this.#databases.reads, digest, limit)
  }

  scanManifests(scan: Scan): Promise<Scanned<RepositoryManifest & { mediaType: string }>> {
    return integrity.scanManifests(this.#databases.reads, scan)
  }

  listReferences(repository: RepositoryName, digest: Digest): Promise<Digest[]> {
    return integrity.listReferences(this.#databases.reads, repository, digest)
  }

  scanBlobs(scan: Scan): Promise<Scanned<RepositoryManifest>> {
    return integrity.scanBlobs(this.#databases.reads, scan)
  }

  scanTags(scan: Scan): Promise<Scanned<RepositoryTag>> {
    return integrity.scanTags(this.#databases.reads, scan)
  }
}
