/** Other registries, as the pull-through cache sees them. */
import type { Digest } from '../../oci/digest.ts'
import type { RegistryHost } from '../../oci/image-reference.ts'
import type { Reference } from '../../oci/reference.ts'
import type { RepositoryName } from '../../oci/repository-name.ts'
import type { Tag } from '../../oci/tag.ts'
import type { PageRequest } from './metadata-store.ts'
import type { ManifestRecord, Referrer } from './records.ts'

/** A repository of another registry, by its canonical name. */
export interface UpstreamRepository {
  readonly host: RegistryHost
  readonly repository: RepositoryName
}

/** A manifest as it came from an upstream, its bytes verified. */
export interface UpstreamManifest extends ManifestRecord {
  readonly bytes: Uint8Array
  /** What answered is a cache that could not ask whether it is current. */
  readonly isStale?: true
}

/** What a tag points at; the manifest too, where it had to be fetched to know. */
export interface UpstreamTag extends ManifestRecord {
  readonly isStale?: true
  readonly manifest?: UpstreamManifest
}

/** A blob on its way; disposing of it ends the transfer. */
export interface UpstreamBlob extends AsyncDisposable {
  /** Bytes of the whole blob, where the upstream says. */
  readonly size: number | undefined
  /** Where `chunks` begins: the offset that was asked for, or 0 at an upstream without ranges. */
  readonly offset: number
  /** May be read once. @throws UpstreamError when the connection breaks. */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** On whose behalf another registry is asked, and for how long. */
export interface UpstreamCall {
  readonly signal: AbortSignal
  /** `RequestContext.via`: without it a loop of registries is not noticed. */
  readonly via: readonly string[]
}

/** Other registries. Everything throws UpstreamError when it does not get what it asked for. */
export interface Upstream {
  /** Questions about a target for which this is the same may wait for one answer. */
  flightOf(target: UpstreamRepository, via: readonly string[]): string
  getManifest(
    target: UpstreamRepository,
    reference: Reference,
    call: UpstreamCall,
  ): Promise<UpstreamManifest>
  headManifest(
    target: UpstreamRepository,
    reference: Reference,
    call: UpstreamCall,
  ): Promise<UpstreamTag>
  /** The size of a blob, without its bytes; undefined when the upstream has it and does not say. */
  headBlob(
    target: UpstreamRepository,
    digest: Digest,
    call: UpstreamCall,
  ): Promise<number | undefined>
  /** @param offset where to begin, for a transfer that broke. */
  getBlob(
    target: UpstreamRepository,
    digest: Digest,
    offset: number,
    call: UpstreamCall,
  ): Promise<UpstreamBlob>
  /** One page, of the upstream's own size if it is smaller than asked for. */
  listTags(
    target: UpstreamRepository,
    page: PageRequest,
    call: UpstreamCall,
  ): Promise<{ readonly entries: Tag[]; readonly next?: string }>
  listReferrers(
    target: UpstreamRepository,
    subject: Digest,
    call: UpstreamCall,
  ): Promise<Referrer[]>
}
