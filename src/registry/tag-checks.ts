/**
 * Whether cached tags are still what their upstream has. While there is a copy an upstream is not waited
 * for for long; one that is only slow is heard out all the same, so that the next pull gets what it says.
 */
import { LruCache } from '../lib/lru-cache.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Digest } from '../oci/digest.ts'
import { formatProxiedName } from '../oci/proxied-name.ts'
import type { Tag } from '../oci/tag.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Pulled } from './cache-status.ts'
import { CheckDeadline } from './check-deadline.ts'
import type { StoredManifest } from './manifest-cache.ts'
import type { Manifests } from './manifests.ts'
import type { Clock } from './ports/clock.ts'
import type { Upstream, UpstreamCall, UpstreamRepository } from './ports/upstream.ts'
import { countHops } from './proxy-chain.ts'
import type { RequestContext } from './request-context.ts'
import { isUnknown } from './upstream-failure.ts'

export interface CheckedTag extends Pulled {
  readonly manifest: StoredManifest
}

interface TagCopy {
  readonly target: UpstreamRepository
  readonly tag: Tag
  readonly cached: StoredManifest
}

interface Parts {
  readonly upstream: Pick<Upstream, 'headManifest' | 'getManifest'>
  readonly manifests: Pick<Manifests, 'findManifest'>
  readonly clock: Clock
  /** Stores a manifest, and that the tag points at it now. */
  readonly keep: (
    context: RequestContext,
    target: UpstreamRepository,
    fetched: StoredManifest,
    tags: readonly Tag[],
  ) => Promise<StoredManifest>
}

export interface TagCheckLimits {
  /** How long an upstream may take to answer while there is a copy to serve instead. */
  readonly secondsMax: number
  /** What a registry behind another one has of the time of that one, which waits for it. */
  readonly shareBehind: number
  /** Checks at a time that go on after that. */
  readonly lateMax: number
}

interface Settings extends TagCheckLimits {
  readonly rememberedMax: number
}

export class TagChecks {
  readonly #parts: Parts
  readonly #settings: Settings
  /** When tags were last compared with their upstream, in milliseconds since 1970. */
  readonly #checkedAt: LruCache<string, number>
  readonly #late = new SingleFlight<string, CheckedTag>()

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
    this.#checkedAt = new LruCache({ entriesMax: settings.rememberedMax })
  }

  /** Whether the upstream was asked less than so many seconds ago. */
  isFresh(target: UpstreamRepository, tag: Tag, ttlSeconds: number): boolean {
    const checkedAt = this.#checkedAt.get(keyOf(target, tag))
    if (checkedAt === undefined) return false
    const age = this.#parts.clock.now() - checkedAt
    return age >= 0 && age < ttlSeconds * 1000
  }

  /** The upstream has just said what the tag is. */
  note(target: UpstreamRepository, tag: Tag): void {
    this.#checkedAt.set(keyOf(target, tag), this.#parts.clock.now())
  }

  /** @throws UpstreamError, `timeout` too when the upstream does not answer soon. */
  async check(context: RequestContext, copy: TagCopy): Promise<CheckedTag> {
    const { secondsMax, shareBehind } = this.#settings
    const { via } = context
    const seconds = secondsMax * shareBehind ** countHops(via)
    using deadline = new CheckDeadline(copy.target.host, seconds)
    try {
      return await this.#compare(context, copy, { signal: deadline.signal, via })
    } catch (error) {
      if (deadline.signal.aborted && !isSuspended(error)) this.#hearOut(context, copy)
      throw error
    }
  }

  #hearOut(context: RequestContext, copy: TagCopy): void {
    const { target, tag } = copy
    const key = keyOf(target, tag)
    if (this.#late.has(key) || this.#late.size >= this.#settings.lateMax) return
    const call = { signal: new AbortController().signal, via: context.via }
    this.#late
      .run(key, () => this.#compare(context, copy, call))
      .then(
        ({ warning }) => void (warning === undefined && this.note(target, tag)),
        (error: unknown) => context.log.debug({ err: error, target, tag }, 'a tag was not checked'),
      )
  }

  async #compare(
    context: RequestContext,
    { target, tag, cached }: TagCopy,
    call: UpstreamCall,
  ): Promise<CheckedTag> {
    const { upstream, manifests } = this.#parts
    const head = await upstream.headManifest(target, tag, call)
    const unchanged = head.isStale
      ? ({ manifest: cached, status: 'STALE', ...staleAnswer(target) } as const)
      : ({ manifest: cached, status: 'HIT' } as const)
    if (head.digest === cached.digest) return unchanged
    const known = await manifests.findManifest(context, formatProxiedName(target), head.digest)
    const fetched = known ?? head.manifest ?? (await this.#fetch(target, tag, head.digest, call))
    // HEAD may have been wrong about it.
    if (fetched.digest === cached.digest) return unchanged
    const manifest = await this.#parts.keep(context, target, fetched, [tag])
    return { manifest, status: 'MISS', ...(head.isStale && staleAnswer(target)) }
  }

  /** By its digest, so that it is what HEAD said; by its tag where that has moved on, or HEAD was wrong. */
  async #fetch(
    target: UpstreamRepository,
    tag: Tag,
    digest: Digest,
    call: UpstreamCall,
  ): Promise<StoredManifest> {
    const { upstream } = this.#parts
    try {
      return await upstream.getManifest(target, digest, call)
    } catch (error) {
      if (!isUnknown(error)) throw error
      return await upstream.getManifest(target, tag, call)
    }
  }
}

/** What is passed on of a copy that another cache could not compare with its own upstream. */
export function staleAnswer({ host }: UpstreamRepository): { readonly warning: string } {
  return { warning: `what answers for ${host} could not ask it; this copy may be out of date` }
}

/** Whether it was not asked at all: others wait for their turn, and one more would not help. */
function isSuspended(error: unknown): boolean {
  return error instanceof UpstreamError && error.problem === 'suspended'
}

/** No name and no tag holds a space. */
function keyOf(target: UpstreamRepository, tag: Tag): string {
  return `${formatProxiedName(target)} ${tag}`
}
