/**
 * Repositories of other registries, through the cache. A manifest is answered as soon as it is
 * verified, a blob while it arrives; what is cached is served when its upstream cannot be asked.
 * Content by digest is never checked again; a tag is, on each pull, one question for all who ask.
 */
import { SingleFlight } from '../lib/single-flight.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { parseRepositoryIn, type RegistryHost } from '../oci/image-reference.ts'
import { parseManifest } from '../oci/manifest.ts'
import { isIndexMediaType } from '../oci/media-type.ts'
import { formatProxiedName } from '../oci/proxied-name.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Pulled } from './cache-status.ts'
import type { ContentLocks } from './content-locks.ts'
import { type FillSource, sizeUnknown } from './fill-source.ts'
import type { CacheUses } from './cache-uses.ts'
import type { CacheRoom } from './eviction.ts'
import type { Fills } from './fills.ts'
import type { KnownDamage } from './known-damage.ts'
import { reportLost } from './lost-content.ts'
import type { StoredManifest } from './manifest-cache.ts'
import type { Manifests } from './manifests.ts'
import type { BlobReader, BlobStore } from './ports/blob-store.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import type { Upstream, UpstreamRepository } from './ports/upstream.ts'
import type { Prefetch } from './prefetch.ts'
import type { ReadChecks } from './read-checks.ts'
import type { Log, RequestContext } from './request-context.ts'
import type { StaleCopies } from './stale-copies.ts'
import { type CheckedTag, staleAnswer, type TagCheckLimits, TagChecks } from './tag-checks.ts'
import { UnknownReferences } from './unknown-references.ts'
import { isGone, isUnknown, translateUpstreamError } from './upstream-failure.ts'

export type PulledManifest = CheckedTag

interface Asked {
  readonly target: UpstreamRepository
  /** Its name here. */
  readonly repository: RepositoryName
  readonly reference: Reference
}

interface Parts {
  readonly upstream: Upstream
  readonly manifests: Manifests
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
  readonly damage: KnownDamage
  readonly checks: Pick<ReadChecks, 'watch'>
  readonly fills: Fills
  readonly prefetch: Prefetch
  readonly staleCopies: StaleCopies
  readonly uses: CacheUses
  readonly room: CacheRoom
  readonly clock: Clock
}

export interface PullThroughSettings {
  /** Whose repositories are meant where no registry is named and this one has nothing. */
  readonly defaultUpstream?: RegistryHost
  /** Whether layers are fetched as soon as a manifest names them. */
  readonly prefetchesLayers: boolean
  /** A tag that was checked this recently is not checked again. */
  readonly tagTtlSeconds: number
  /** An upstream's "no such thing" holds this long. */
  readonly unknownTtlSeconds: number
  readonly tagChecks: TagCheckLimits
  readonly rememberedMax: number
}

/** The name that the content of an upstream's repository is kept under, and listed by. */
export function cachedName(target: UpstreamRepository): RepositoryName {
  return formatProxiedName(target)
}

export class PullThrough {
  readonly #parts: Parts
  #settings: PullThroughSettings
  readonly #pulls = new SingleFlight<string, PulledManifest>()
  readonly #tagChecks: TagChecks
  readonly #unknown: UnknownReferences

  constructor(parts: Parts, settings: PullThroughSettings) {
    this.#parts = parts
    this.#settings = settings
    const { tagChecks, rememberedMax } = settings
    this.#tagChecks = new TagChecks(
      { ...parts, keep: (...kept) => this.#keep(...kept) },
      { ...tagChecks, rememberedMax },
    )
    this.#unknown = new UnknownReferences(parts.clock, rememberedMax)
  }

  reload(settings: PullThroughSettings): void {
    this.#settings = settings
    // With another login or at another endpoint it may be there.
    this.#unknown.clear()
    if (!settings.prefetchesLayers) this.#parts.prefetch.clear()
  }

  /**
   * The default upstream's repository, for a name that came without a registry.
   * @returns undefined for what this registry has content of, and without a default upstream.
   */
  async findDefaultTarget(repository: RepositoryName): Promise<UpstreamRepository | undefined> {
    const { defaultUpstream: host } = this.#settings
    if (host === undefined || (await this.#parts.metadata.hasContent(repository))) return undefined
    return { host, repository: parseRepositoryIn(host, repository) }
  }

  /** @throws OciError MANIFEST_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE (502, 504), DENIED */
  async getManifest(
    context: RequestContext,
    target: UpstreamRepository,
    reference: Reference,
  ): Promise<PulledManifest> {
    const repository = cachedName(target)
    const cached = await this.#parts.manifests.findManifest(context, repository, reference)
    const pulled: PulledManifest =
      cached !== undefined && this.#isFresh(target, reference)
        ? { manifest: cached, status: 'HIT' }
        : await this.#askForManifest(context, { target, repository, reference }, cached)
    this.#parts.uses.touch(repository, pulled.manifest.digest)
    return pulled
  }

  async #askForManifest(
    context: RequestContext,
    { target, repository, reference }: Asked,
    cached: StoredManifest | undefined,
  ): Promise<PulledManifest> {
    const flight = this.#parts.upstream.flightOf(target, context.via)
    const key = `${repository} ${reference} ${flight}`
    const joined = this.#pulls.has(key)
    try {
      const pulled = await this.#pulls.run(key, () =>
        this.#pull(context, target, reference, cached),
      )
      return joined && pulled.status === 'MISS' ? { ...pulled, status: 'COALESCED' } : pulled
    } catch (error) {
      throw translateUpstreamError(error, 'MANIFEST_UNKNOWN')
    }
  }

  /** @throws OciError BLOB_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE, DENIED */
  async getBlob(
    context: RequestContext,
    target: UpstreamRepository,
    digest: Digest,
  ): Promise<Pulled & { readonly blob: BlobRecord }> {
    const stored = await this.#findStored(target, digest)
    if (stored !== undefined) return { blob: stored, status: 'HIT' }
    try {
      const source = this.#sourceOf(context, target, digest)
      const told = await this.#parts.upstream.headBlob(target, digest, context)
      const size = told ?? (await source.findSize())
      if (size === undefined) throw sizeUnknown(source)
      return { blob: { digest, size }, status: 'MISS' }
    } catch (error) {
      throw translateUpstreamError(error, 'BLOB_UNKNOWN')
    }
  }

  /** The caller disposes of the reader. @throws as `getBlob`. */
  async openBlob(
    context: RequestContext,
    target: UpstreamRepository,
    digest: Digest,
  ): Promise<Pulled & { readonly reader: BlobReader }> {
    const reader = await this.#openStored(target, digest, context.log)
    if (reader !== undefined) return { reader: this.#keptWhileRead(reader, digest), status: 'HIT' }
    try {
      const filled = await this.#parts.fills.open(this.#sourceOf(context, target, digest))
      const status = filled.joined ? 'COALESCED' : 'MISS'
      return { reader: this.#keptWhileRead(translating(filled.reader), digest), status }
    } catch (error) {
      throw translateUpstreamError(error, 'BLOB_UNKNOWN')
    }
  }

  #sourceOf(context: RequestContext, target: UpstreamRepository, digest: Digest): FillSource {
    const { via } = context
    return {
      repository: cachedName(target),
      host: target.host,
      digest,
      flight: this.#parts.upstream.flightOf(target, via),
      findSize: () => this.#findSize(context, target, digest),
      open: (offset, signal) =>
        this.#parts.upstream.getBlob(target, digest, offset, { signal, via }),
    }
  }

  /** As a manifest of its repository has it that is here. */
  async #findSize(
    context: RequestContext,
    target: UpstreamRepository,
    digest: Digest,
  ): Promise<number | undefined> {
    const { metadata, manifests } = this.#parts
    const repository = cachedName(target)
    const found = await metadata.findManifestWithBlob(repository, digest)
    const manifest = found && (await manifests.findManifest(context, repository, found))
    if (manifest === undefined) return undefined
    const { blobs, optionalBlobs } = parseManifest(manifest.bytes, manifest.mediaType)
    return [...blobs, ...optionalBlobs].find((blob) => blob.digest === digest)?.size
  }

  /** What is being read is not evicted, so that a client that breaks off can go on. */
  #keptWhileRead(reader: BlobReader, digest: Digest): BlobReader {
    const use = this.#parts.room.use(digest)
    return {
      size: reader.size,
      read: (range) => reader.read(range),
      [Symbol.asyncDispose]: async () => {
        try {
          await reader[Symbol.asyncDispose]()
        } finally {
          use[Symbol.dispose]()
        }
      },
    }
  }

  /** Of an image: which of an index's images will be wanted, nobody knows yet. */
  #prefetchLayers(
    context: RequestContext,
    target: UpstreamRepository,
    manifest: StoredManifest,
  ): void {
    if (!this.#settings.prefetchesLayers || isIndexMediaType(manifest.mediaType)) return
    const { blobs } = parseManifest(manifest.bytes, manifest.mediaType)
    for (const { digest } of blobs) {
      const name = `${cachedName(target)}@${digest}`
      const source = this.#sourceOf(context, target, digest)
      this.#parts.prefetch.add(name, () => this.#prefetchBlob(target, source))
    }
  }

  async #prefetchBlob(target: UpstreamRepository, source: FillSource): Promise<void> {
    if ((await this.#findStored(target, source.digest)) !== undefined) return
    const { reader, joined, ended } = await this.#parts.fills.open(source)
    await reader[Symbol.asyncDispose]()
    // One that a client has begun takes nobody's turn.
    if (!joined) await ended
  }

  /** Bytes are only shared between repositories through an upstream that handed them out itself. */
  async #findStored(target: UpstreamRepository, digest: Digest): Promise<BlobRecord | undefined> {
    const record = await this.#parts.metadata.findBlob(cachedName(target), digest)
    if (record === undefined) return undefined
    const stored = await this.#parts.blobs.statBlob(digest)
    return stored?.size === record.size ? record : undefined
  }

  async #openStored(
    target: UpstreamRepository,
    digest: Digest,
    log: Log,
  ): Promise<BlobReader | undefined> {
    const repository = cachedName(target)
    const record = await this.#parts.metadata.findBlob(repository, digest)
    if (record === undefined) return undefined
    const reader = await this.#parts.blobs.openBlob(digest)
    if (reader?.size === record.size) return this.#parts.checks.watch(repository, record, reader)
    await reader?.[Symbol.asyncDispose]()
    // It was evicted meanwhile.
    if ((await this.#parts.metadata.findBlob(repository, digest)) === undefined) return undefined
    const lost = { repository, kind: 'blob', record, found: reader?.size } as const
    await reportLost(this.#parts, lost, log)
    return undefined
  }

  #isFresh(target: UpstreamRepository, reference: Reference): boolean {
    if (isDigestReference(reference)) return true
    return this.#tagChecks.isFresh(target, reference, this.#settings.tagTtlSeconds)
  }

  async #pull(
    context: RequestContext,
    target: UpstreamRepository,
    reference: Reference,
    cached: StoredManifest | undefined,
  ): Promise<PulledManifest> {
    const { staleCopies } = this.#parts
    const key = `${cachedName(target)} ${reference}`
    try {
      this.#unknown.throwIfKnown(key, this.#settings.unknownTtlSeconds)
      const pulled =
        cached === undefined || isDigestReference(reference)
          ? await this.#fetch(context, target, reference)
          : await this.#tagChecks.check(context, { target, tag: reference, cached })
      const isCertain = pulled.warning === undefined
      if (isCertain && !isDigestReference(reference)) this.#tagChecks.note(target, reference)
      staleCopies.end(target)
      return pulled
    } catch (error) {
      if (isUnknown(error)) this.#unknown.remember(key, error)
      if (cached === undefined || isGone(error) || error instanceof OciError) throw error
      return { manifest: cached, ...staleCopies.serve(context, target, error, reference) }
    }
  }

  async #fetch(
    context: RequestContext,
    target: UpstreamRepository,
    reference: Reference,
  ): Promise<PulledManifest> {
    const { upstream } = this.#parts
    // Not the client's signal: others may be waiting for the same answer.
    const call = { signal: new AbortController().signal, via: context.via }
    const fetched = await upstream.getManifest(target, reference, call)
    const tags: Tag[] = isDigestReference(reference) ? [] : [reference]
    const manifest = await this.#keep(context, target, fetched, tags)
    const isDoubtful = tags.length > 0 && fetched.isStale
    return { manifest, status: 'MISS', ...(isDoubtful && staleAnswer(target)) }
  }

  /** What is no manifest to us (docker's schema 1) cannot be served: its digest cannot be checked. */
  async #keep(
    context: RequestContext,
    target: UpstreamRepository,
    fetched: StoredManifest,
    tags: readonly Tag[],
  ): Promise<StoredManifest> {
    const { manifests } = this.#parts
    try {
      const kept = await manifests.cacheManifest(context, cachedName(target), fetched, tags)
      this.#parts.room.add(kept.size)
      this.#prefetchLayers(context, target, kept)
      return kept
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      if (error.code === 'STORAGE_FULL' || error.code === 'UNAVAILABLE') {
        const { digest } = fetched
        context.log.warn({ err: error, digest }, 'a manifest is passed on without caching it')
        return fetched
      }
      if (error.code !== 'MANIFEST_INVALID') throw error
      const { host } = target
      const problem = `what ${host} has is not a manifest that can be served: ${error.message}`
      throw new UpstreamError(problem, { host, problem: 'content', cause: error })
    }
  }
}

/** A blob of no bytes is only known to be right when it is read, before anything of it is sent. */
function translating(reader: BlobReader): BlobReader {
  return {
    size: reader.size,
    async *read(range) {
      try {
        yield* reader.read(range)
      } catch (error) {
        throw translateUpstreamError(error, 'BLOB_UNKNOWN')
      }
    },
    [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
  }
}
