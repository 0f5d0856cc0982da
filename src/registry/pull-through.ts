/**
 * Repositories of other registries, through the cache. A manifest is answered as soon as it is
 * verified, a blob while it arrives; what is cached is served when its upstream cannot be asked.
 * Content by digest is never checked again; a tag is, on each pull, one question for all who ask.
 */
import { LruCache } from '../lib/lru-cache.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { Fills } from './fills.ts'
import { cutPage, oneMore, type Page, readReferrers } from './listings.ts'
import type { StoredManifest } from './manifest-cache.ts'
import type { Manifests } from './manifests.ts'
import type {
  BlobReader,
  BlobRecord,
  BlobStore,
  Clock,
  MetadataStore,
  PageRequest,
  Referrer,
  Upstream,
  UpstreamRepository,
} from './ports.ts'
import type { RequestContext } from './request-context.ts'
import { isDefinite, isUnknown, reasonOf, translateUpstreamError } from './upstream-failure.ts'

export type CacheStatus = 'HIT' | 'MISS' | 'STALE' | 'COALESCED'

export interface PulledManifest {
  readonly manifest: StoredManifest
  readonly status: CacheStatus
  /** What the client should know, of a stale copy. */
  readonly warning?: string
}

interface Parts {
  readonly upstream: Upstream
  readonly manifests: Manifests
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly fills: Fills
  readonly clock: Clock
}

export interface PullThroughSettings {
  /** A tag that was checked this recently is not checked again. */
  readonly tagTtlSeconds: number
  /** An upstream's "no such thing" holds this long. */
  readonly unknownTtlSeconds: number
  /** How long an upstream may take to answer while there is a copy to serve instead. */
  readonly checkSecondsMax: number
  readonly rememberedMax: number
  readonly referrersMax: number
  readonly referrersBytesMax?: number
}

/** The name that the content of an upstream's repository is kept under. */
export function cachedName({ host, repository }: UpstreamRepository): RepositoryName {
  return `f/${host}/${repository}` as RepositoryName
}

export class PullThrough {
  readonly #parts: Parts
  #settings: PullThroughSettings
  readonly #pulls = new SingleFlight<string, PulledManifest>()
  /** When tags were last compared with their upstream, in milliseconds since 1970. */
  readonly #checkedAt: LruCache<string, number>
  /** Upstreams' definite refusals, and when they came. */
  readonly #unknown: LruCache<string, { readonly error: unknown; readonly at: number }>

  constructor(parts: Parts, settings: PullThroughSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#checkedAt = new LruCache({ entriesMax: settings.rememberedMax })
    this.#unknown = new LruCache({ entriesMax: settings.rememberedMax })
  }

  reload(settings: PullThroughSettings): void {
    this.#settings = settings
  }

  /** @throws OciError MANIFEST_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE (502, 504), DENIED */
  async getManifest(
    context: RequestContext,
    target: UpstreamRepository,
    reference: Reference,
  ): Promise<PulledManifest> {
    const repository = cachedName(target)
    const cached = await this.#parts.manifests.findManifest(context, repository, reference)
    if (cached !== undefined && this.#isFresh(repository, reference)) {
      return { manifest: cached, status: 'HIT' }
    }
    const key = `${repository} ${reference}`
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
  ): Promise<BlobRecord> {
    const stored = await this.#findStored(target, digest)
    if (stored !== undefined) return stored
    try {
      return await this.#parts.upstream.headBlob(target, digest, context.signal)
    } catch (error) {
      throw translateUpstreamError(error, 'BLOB_UNKNOWN')
    }
  }

  /** The caller disposes of the reader. @throws as `getBlob`. */
  async openBlob(
    target: UpstreamRepository,
    digest: Digest,
  ): Promise<{ reader: BlobReader; status: CacheStatus }> {
    const stored = await this.#findStored(target, digest)
    const reader = stored && (await this.#parts.blobs.openBlob(digest))
    if (reader !== undefined) return { reader, status: 'HIT' }
    try {
      const filled = await this.#parts.fills.open({
        repository: cachedName(target),
        host: target.host,
        digest,
        open: (offset, signal) => this.#parts.upstream.getBlob(target, digest, offset, signal),
      })
      return { reader: filled.reader, status: filled.joined ? 'COALESCED' : 'MISS' }
    } catch (error) {
      throw translateUpstreamError(error, 'BLOB_UNKNOWN')
    }
  }

  /** What the upstream lists; while it cannot be asked, the tags that are cached. */
  async listTags(
    context: RequestContext,
    target: UpstreamRepository,
    page: PageRequest,
  ): Promise<Page<Tag>> {
    try {
      return await this.#parts.upstream.listTags(target, page, context.signal)
    } catch (error) {
      const cached = await this.#parts.metadata.listTags(cachedName(target), oneMore(page))
      if (cached.length === 0 || isUnknown(error)) {
        throw translateUpstreamError(error, 'NAME_UNKNOWN')
      }
      context.log.warn({ err: error, upstream: target.host }, 'listing the cached tags')
      return cutPage(cached, page.limit, (tag) => tag)
    }
  }

  /** All of them: upstreams' lists are short. While it cannot be asked, those that are cached. */
  async listReferrers(
    context: RequestContext,
    target: UpstreamRepository,
    subject: Digest,
    artifactType: string | undefined,
  ): Promise<Referrer[]> {
    const { upstream, metadata } = this.#parts
    try {
      const all = await upstream.listReferrers(target, subject, context.signal)
      return all.filter(
        (referrer) => artifactType === undefined || referrer.artifactType === artifactType,
      )
    } catch (error) {
      if (isDefinite(error)) return []
      context.log.warn({ err: error, upstream: target.host }, 'listing the cached referrers')
      const { referrersMax: limit, referrersBytesMax: bytesMax = Infinity } = this.#settings
      const page = { limit, bytesMax, ...(artifactType !== undefined && { artifactType }) }
      return (await readReferrers(metadata, cachedName(target), subject, page)).entries
    }
  }

  /** Bytes are only shared between repositories through an upstream that handed them out itself. */
  async #findStored(target: UpstreamRepository, digest: Digest): Promise<BlobRecord | undefined> {
    const record = await this.#parts.metadata.findBlob(cachedName(target), digest)
    if (record === undefined) return undefined
    const stored = await this.#parts.blobs.statBlob(digest)
    return stored?.size === record.size ? record : undefined
  }

  #isFresh(repository: RepositoryName, reference: Reference): boolean {
    if (isDigestReference(reference)) return true
    const checkedAt = this.#checkedAt.get(`${repository} ${reference}`)
    if (checkedAt === undefined) return false
    const age = this.#parts.clock.now() - checkedAt
    return age >= 0 && age < this.#settings.tagTtlSeconds * 1000
  }

  async #pull(
    context: RequestContext,
    target: UpstreamRepository,
    reference: Reference,
    cached: StoredManifest | undefined,
  ): Promise<PulledManifest> {
    const key = `${cachedName(target)} ${reference}`
    try {
      this.#throwIfKnownUnknown(key)
      const pulled =
        cached === undefined || isDigestReference(reference)
          ? await this.#fetch(context, target, reference)
          : await this.#revalidate(context, target, reference, cached)
      this.#checkedAt.set(key, this.#parts.clock.now())
      return pulled
    } catch (error) {
      if (isUnknown(error)) this.#rememberUnknown(key, error)
      if (cached === undefined || isUnknown(error) || error instanceof OciError) throw error
      const reason = reasonOf(error, target.host)
      context.log.warn({ upstream: target.host, reference, reason }, 'serving the cached copy')
      return {
        manifest: cached,
        status: 'STALE',
        warning: `${reason}; this copy may be out of date`,
      }
    }
  }

  async #fetch(
    context: RequestContext,
    target: UpstreamRepository,
    reference: Reference,
  ): Promise<PulledManifest> {
    const { upstream } = this.#parts
    // Not the client's signal: others may be waiting for the same answer.
    const fetched = await upstream.getManifest(target, reference, new AbortController().signal)
    const tags: Tag[] = isDigestReference(reference) ? [] : [reference]
    const manifest = await this.#keep(context, target, fetched, tags)
    return { manifest, status: 'MISS' }
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
      return await manifests.cacheManifest(context, cachedName(target), fetched, tags)
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      if (error.code === 'STORAGE_FULL' || error.code === 'UNAVAILABLE') {
        const { digest } = fetched
        context.log.warn({ err: error, digest }, 'a manifest is passed on without caching it')
        return fetched
      }
      if (error.code !== 'MANIFEST_INVALID') throw error
      throw new OciError('MANIFEST_UNKNOWN', {
        message: `what ${target.host} has is not a manifest that can be served: ${error.message}`,
        detail: { upstream: target.host },
        cause: error,
      })
    }
  }

  async #revalidate(
    context: RequestContext,
    target: UpstreamRepository,
    tag: Tag,
    cached: StoredManifest,
  ): Promise<PulledManifest> {
    const { upstream, manifests } = this.#parts
    const repository = cachedName(target)
    const signal = AbortSignal.timeout(this.#settings.checkSecondsMax * 1000)
    const head = await upstream.headManifest(target, tag, signal)
    if (head.digest === cached.digest) return { manifest: cached, status: 'HIT' }
    const known = await manifests.findManifest(context, repository, head.digest)
    const fetched =
      known ?? head.manifest ?? (await upstream.getManifest(target, head.digest, signal))
    const manifest = await this.#keep(context, target, fetched, [tag])
    return { manifest, status: 'MISS' }
  }

  #throwIfKnownUnknown(key: string): void {
    const known = this.#unknown.get(key)
    if (known === undefined) return
    const age = this.#parts.clock.now() - known.at
    if (age >= 0 && age < this.#settings.unknownTtlSeconds * 1000) throw known.error
    this.#unknown.delete(key)
  }

  #rememberUnknown(key: string, error: unknown): void {
    if (!this.#unknown.get(key)) this.#unknown.set(key, { error, at: this.#parts.clock.now() })
  }
}
