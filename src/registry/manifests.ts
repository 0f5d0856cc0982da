/**
 * Manifests and the tags that point at them. Bytes are kept exactly as pushed; a manifest is taken
 * only when the repository has what it refers to (design, durability rule 3), and everything a push
 * changes, tags too, becomes visible in one step.
 */
import { isImmutable, type TagPolicy } from '../config/tag-policy.ts'
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { parseManifest } from '../oci/manifest.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { CacheUses } from './cache-uses.ts'
import type { ContentLocks } from './content-locks.ts'
import type { LinkKeeper } from './link-keeper.ts'
import { readWhole } from './read-whole.ts'
import type { KnownDamage } from './known-damage.ts'
import { reportLost } from './lost-content.ts'
import { entryOf } from './manifest-entry.ts'
import { ManifestCache, type StoredManifest } from './manifest-cache.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { ManifestEntry, ManifestRecord } from './ports/records.ts'
import type { RequestContext } from './request-context.ts'

interface Stores {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly locks: ContentLocks
  readonly damage: KnownDamage
  readonly uses: Pick<CacheUses, 'touch' | 'untouch'>
  readonly links: Pick<LinkKeeper, 'sync'>
}

interface Settings {
  readonly referencesMax: number
  readonly cacheEntriesMax: number
  readonly cacheBytesMax: number
  readonly tagPolicy: TagPolicy
}

/** Files that are looked at at the same time. */
const statsAtOnce = 32

export interface ManifestPush {
  readonly reference: Reference
  readonly bytes: Uint8Array
  /** The request's Content-Type. */
  readonly contentType: string | undefined
  /** Further tags to point at the manifest. */
  readonly tags: readonly Tag[]
}

export interface PushedManifest {
  readonly digest: Digest
  readonly subject?: Digest
}

export class Manifests {
  readonly #metadata: MetadataStore
  readonly #blobs: BlobStore
  readonly #locks: ContentLocks
  readonly #damage: KnownDamage
  readonly #uses: Stores['uses']
  readonly #referencesMax: number
  readonly #links: Pick<LinkKeeper, 'sync'>
  readonly #cache: ManifestCache
  #tagPolicy: TagPolicy

  constructor(stores: Stores, settings: Settings) {
    this.#metadata = stores.metadata
    this.#blobs = stores.blobs
    this.#locks = stores.locks
    this.#damage = stores.damage
    this.#uses = stores.uses
    this.#links = stores.links
    this.#referencesMax = settings.referencesMax
    this.#tagPolicy = settings.tagPolicy
    this.#cache = new ManifestCache({
      entriesMax: settings.cacheEntriesMax,
      bytesMax: settings.cacheBytesMax,
    })
  }

  setTagPolicy(tagPolicy: TagPolicy): void {
    this.#tagPolicy = tagPolicy
  }

  /**
   * A pull. Who is told of a manifest by its digest may push an index that lists it, so that is noted
   * before it is looked for: from then on it is not collected.
   * @throws OciError NAME_UNKNOWN, MANIFEST_UNKNOWN
   */
  async getManifest(
    context: RequestContext,
    repository: RepositoryName,
    reference: Reference,
  ): Promise<StoredManifest> {
    if (isDigestReference(reference)) this.#uses.touch(repository, reference)
    const manifest = await this.findManifest(context, repository, reference)
    if (manifest === undefined) {
      if (isDigestReference(reference)) this.#uses.untouch(repository, reference)
      return await this.#throwUnknown(repository, reference)
    }
    if (!isDigestReference(reference)) this.#uses.touch(repository, manifest.digest)
    return manifest
  }

  /** @returns undefined when there is none, or its bytes are lost. */
  findManifest(
    context: RequestContext,
    repository: RepositoryName,
    reference: Reference,
  ): Promise<StoredManifest | undefined> {
    return this.#cache.load(repository, reference, () => this.#read(context, repository, reference))
  }

  /**
   * Keeps a manifest of an upstream, whose digest was verified, and points `tags` at it. What it
   * refers to is fetched when it is asked for, so nothing of that need be there.
   * @throws OciError MANIFEST_INVALID for bytes that are no manifest.
   */
  async cacheManifest(
    context: RequestContext,
    repository: RepositoryName,
    fetched: StoredManifest,
    tags: readonly Tag[],
  ): Promise<StoredManifest> {
    const { digest, bytes } = fetched
    const manifest = parseManifest(bytes, fetched.mediaType)
    const entry = entryOf(manifest, digest, bytes.length)
    this.#checkReferences(entry)
    await this.#locks.whileStoring(digest, async () => {
      // Although it may be known: its bytes may be damaged, or it is being evicted at this moment.
      await this.#blobs.putBlob(digest, bytes)
      await this.#write(repository, () =>
        this.#metadata.putManifest(repository, entry, tags, { sparse: true }),
      )
    })
    context.log.info({ repository, digest, tags, mediaType: entry.mediaType }, 'manifest cached')
    return { digest, bytes, size: bytes.length, mediaType: entry.mediaType }
  }

  /**
   * @throws OciError MANIFEST_INVALID; DIGEST_INVALID when the bytes are not those of the digest
   *   they are pushed under; MANIFEST_BLOB_UNKNOWN naming all content that is missing; DENIED (409)
   *   when a tag would move that may not.
   */
  async putManifest(
    context: RequestContext,
    repository: RepositoryName,
    push: ManifestPush,
  ): Promise<PushedManifest> {
    const { reference, bytes } = push
    const manifest = parseManifest(bytes, push.contentType)
    const digest = checkedDigest(reference, bytes)
    const entry = entryOf(manifest, digest, bytes.length)
    this.#checkReferences(entry)
    // Looked at first, so that a refused manifest leaves no bytes behind.
    refuseMissing(await this.#metadata.findMissingContent(repository, entry))
    refuseMissing(await this.#findLost(entry))
    const tags = isDigestReference(reference) ? push.tags : [reference, ...push.tags]
    const isFixed = this.#isFixedIn(repository)
    for (const tag of tags.filter(isFixed)) {
      // Looked at first, for the same reason.
      const known = await this.#metadata.findManifest(repository, tag)
      if (known !== undefined && known.digest !== digest) throw immutable(tag)
    }
    const { missing, fixed } = await this.#locks.whileStoring(digest, async () => {
      await this.#blobs.putBlob(digest, bytes)
      return this.#write(repository, () =>
        this.#metadata.putManifest(repository, entry, tags, { sparse: false, isFixed }),
      )
    })
    refuseMissing(missing)
    if (fixed !== undefined) throw immutable(fixed)
    context.log.info({ repository, digest, tags, mediaType: entry.mediaType }, 'manifest pushed')
    return { digest, ...(entry.subject !== undefined && { subject: entry.subject }) }
  }

  /** To be called when manifests of the repository were evicted. */
  forget(repository: RepositoryName): void {
    this.#cache.invalidate(repository)
  }

  /**
   * By digest: the manifest and every tag that points at it. By tag: the tag alone.
   * @throws OciError MANIFEST_UNKNOWN, NAME_UNKNOWN, or DENIED while an index needs the manifest, and
   *   when a tag would go that may not.
   */
  async deleteManifest(
    context: RequestContext,
    repository: RepositoryName,
    reference: Reference,
  ): Promise<void> {
    if (!isDigestReference(reference)) return this.#deleteTag(context, repository, reference)
    const result = await this.#write(repository, () =>
      this.#metadata.deleteManifest(repository, reference, this.#isFixedIn(repository)),
    )
    if (result.outcome === 'fixed') throw immutable(result.tag)
    if (result.outcome === 'unknown') return this.#throwUnknown(repository, reference)
    if (result.outcome === 'needed') {
      throw new OciError('DENIED', {
        status: 405,
        message: `the manifest is part of index ${result.by}: delete that index first`,
        detail: { digest: reference, manifest: result.by },
      })
    }
    context.log.info({ repository, digest: reference }, 'manifest deleted')
  }

  async #deleteTag(context: RequestContext, repository: RepositoryName, tag: Tag): Promise<void> {
    if (isImmutable(this.#tagPolicy, repository, tag)) {
      const known = await this.#metadata.findManifest(repository, tag)
      if (known !== undefined) throw immutable(tag)
    }
    const deleted = await this.#write(repository, () => this.#metadata.deleteTag(repository, tag))
    if (!deleted) return this.#throwUnknown(repository, tag)
    context.log.info({ repository, tag }, 'tag deleted')
  }

  #isFixedIn(repository: RepositoryName): (tag: Tag) => boolean {
    return (tag) => isImmutable(this.#tagPolicy, repository, tag)
  }

  /** A write that failed may have been done all the same: a connection can break after the commit. */
  async #write<T>(repository: RepositoryName, write: () => Promise<T>): Promise<T> {
    try {
      const result = await write()
      await this.#links.sync()
      return result
    } finally {
      this.#cache.invalidate(repository)
    }
  }

  async #read(
    context: RequestContext,
    repository: RepositoryName,
    reference: Reference,
  ): Promise<StoredManifest | undefined> {
    const record = await this.#metadata.findManifest(repository, reference)
    if (record === undefined) return undefined
    const { digest } = record
    const read = () => this.#readBytes(context, repository, record)
    // Other tags may point at it, and who asked for a tag asks for the digest next.
    return reference === digest ? await read() : await this.#cache.load(repository, digest, read)
  }

  async #readBytes(
    context: RequestContext,
    repository: RepositoryName,
    record: ManifestRecord,
  ): Promise<StoredManifest | undefined> {
    const bytes = await readWhole(this.#blobs, record)
    if (bytes !== undefined && digestOf(bytes, digestAlgorithm(record.digest)) === record.digest) {
      return { ...record, bytes }
    }
    const still = await this.#metadata.findManifest(repository, record.digest)
    // It was evicted meanwhile.
    if (still === undefined) return undefined
    const found = bytes?.length ?? (await this.#blobs.statBlob(record.digest))?.size
    const parts = { blobs: this.#blobs, locks: this.#locks, damage: this.#damage }
    await reportLost(parts, { repository, kind: 'manifest', record, found }, context.log)
    return undefined
  }

  /** Content that is known and whose bytes are gone, or put aside: who pushes it again heals it. */
  async #findLost({ blobs, manifests }: ManifestEntry): Promise<Digest[]> {
    const lost: Digest[] = []
    const wanted = [...blobs, ...manifests]
    for (let start = 0; start < wanted.length; start += statsAtOnce) {
      const batch = wanted.slice(start, start + statsAtOnce)
      const found = await Promise.all(batch.map((digest) => this.#blobs.statBlob(digest)))
      lost.push(...batch.filter((_, index) => found[index] === undefined))
    }
    return lost
  }

  #checkReferences(entry: ManifestEntry): void {
    const count = entry.blobs.length + entry.manifests.length + entry.optionalBlobs.length
    if (count <= this.#referencesMax) return
    throw new OciError('MANIFEST_INVALID', {
      message: `manifest invalid: it has ${count} descriptors, at most ${this.#referencesMax} are allowed`,
    })
  }

  async #throwUnknown(repository: RepositoryName, reference: Reference): Promise<never> {
    if (!(await this.#metadata.hasRepository(repository))) {
      throw new OciError('NAME_UNKNOWN', { detail: { name: repository } })
    }
    throw new OciError('MANIFEST_UNKNOWN', {
      message: `manifest unknown to repository ${repository}`,
      detail: { reference },
    })
  }
}

/** 409: what there is stands in the way, and no right or login would help. */
export function immutable(tag: Tag): OciError {
  return new OciError('DENIED', {
    status: 409,
    message: `tag ${tag} is immutable (immutable_tags): it can be neither moved nor deleted; use another tag`,
    detail: { tag },
  })
}

function checkedDigest(reference: Reference, bytes: Uint8Array): Digest {
  if (!isDigestReference(reference)) return digestOf(bytes)
  const actual = digestOf(bytes, digestAlgorithm(reference))
  if (actual === reference) return actual
  throw new OciError('DIGEST_INVALID', {
    message: 'the digest of the manifest is not the one it is pushed under',
    detail: { expected: reference, actual, size: bytes.length },
  })
}

function refuseMissing(missing: readonly Digest[]): void {
  if (missing.length === 0) return
  throw new OciError('MANIFEST_BLOB_UNKNOWN', {
    message: `the manifest refers to content that is not in the repository: ${missing.slice(0, 10).join(', ')}`,
    detail: { missing },
  })
}
