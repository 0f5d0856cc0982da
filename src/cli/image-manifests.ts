/**
 * The manifests that belong to an image for some platforms, fetched through a Trow, and the blobs
 * that they name. What cannot be had is noted, and the rest is collected all the same.
 */
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import type { Descriptor, Platform } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { referrersTag } from '../oci/digest-tag.ts'
import { OciError } from '../oci/errors.ts'
import { type Manifest, parseManifest } from '../oci/manifest.ts'
import type { Reference } from '../oci/reference.ts'
import { parseTag } from '../oci/tag.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { mapOrdered } from './concurrency.ts'
import { formatPlatform } from './format.ts'
import { isIndex } from './image-content.ts'
import { matchesPlatform, notForPlatform } from './platform-choice.ts'
import { type CachedManifest, type Origin, PullError, type TrowClient } from './trow-client.ts'

export interface Selection {
  readonly platforms: readonly Platform[] | 'all'
  /** Signatures, attestations and whatever else refers to the image. */
  readonly referrers: boolean
}

/** Tags by which cosign finds what belongs to an image, in registries without the referrers API. */
const cosignSuffixes = ['sig', 'att', 'sbom'] as const

export class ImageManifests {
  readonly manifests = new Map<Digest, CachedManifest>()
  readonly blobs = new Map<Digest, Descriptor>()
  readonly platforms = new Set<string>()
  /** What could not be had. */
  readonly failures: string[] = []
  readonly #trow: TrowClient
  readonly #origin: Origin
  readonly #selection: Selection
  readonly #signal: AbortSignal

  constructor(trow: TrowClient, origin: Origin, selection: Selection, signal: AbortSignal) {
    this.#trow = trow
    this.#origin = origin
    this.#selection = selection
    this.#signal = signal
  }

  /** Fetches what belongs to an image. */
  async collect(root: CachedManifest): Promise<void> {
    const { platforms, referrers } = this.#selection
    await this.#add(root, platforms, 0)
    if (!referrers) return
    const images = Array.from(this.manifests.keys())
    for (const digest of images) await this.#addTagged(digest)
    // Those that come meanwhile are looked at, too: a signature of an SBOM, for one.
    for (const digest of this.manifests.keys()) await this.#addReferrers(digest)
  }

  /** Does `work`, and notes what failed. @throws what is no failure of a registry. */
  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#signal.throwIfAborted()
      if (!isFailure(error)) throw error
      this.failures.push(error.message)
    }
  }

  async #add(read: CachedManifest, platforms: Selection['platforms'], depth: number) {
    if (this.manifests.has(read.digest)) return
    this.manifests.set(read.digest, read)
    await this.attempt(async () => {
      const manifest = parseManifest(read.bytes, read.mediaType)
      for (const blob of manifest.blobs) this.blobs.set(blob.digest, blob)
      const children = isIndex(manifest) ? this.#choose(manifest, platforms) : []
      await this.#fetchAll(children, platforms, depth + 1)
    })
  }

  async #fetchAll(
    children: readonly Descriptor[],
    platforms: Selection['platforms'],
    depth: number,
  ): Promise<void> {
    const fetched = mapOrdered(children, limits.warmBlobsAtOnce, ({ digest }) =>
      this.#fetch(digest, platforms, depth),
    )
    await Array.fromAsync(fetched)
  }

  async #fetch(reference: Reference, platforms: Selection['platforms'], depth: number) {
    await this.attempt(async () => {
      if (depth > limits.inspectDepthMax || this.manifests.size >= limits.inspectManifestsMax) {
        throw new PullError('the image has too many manifests to go on', 0)
      }
      const read = await this.#trow.getManifest(this.#origin, reference, this.#signal)
      await this.#add(read, platforms, depth)
    })
  }

  /** As containerd chooses: what names no platform is for all of them. */
  #choose({ manifests }: Manifest, platforms: Selection['platforms']): readonly Descriptor[] {
    const isWanted = (platform: Platform | undefined): boolean => {
      if (platform === undefined || platforms === 'all') return true
      if (platform.os === 'unknown') return this.#selection.referrers
      return platforms.some((wanted) => matchesPlatform(platform, wanted))
    }
    const chosen = manifests.filter(({ platform }) => isWanted(platform))
    const images = chosen.filter(({ platform }) => platform?.os !== 'unknown')
    for (const { platform } of images) if (platform) this.platforms.add(formatPlatform(platform))
    if (images.length === 0 && platforms !== 'all' && manifests.length > 0) {
      const available = manifests.flatMap(({ platform }) => platform ?? [])
      throw notForPlatform(available, ...platforms)
    }
    return chosen
  }

  async #addTagged(subject: Digest): Promise<void> {
    for (const suffix of cosignSuffixes) {
      await this.attempt(async () => {
        try {
          const tag = parseTag(`${referrersTag(subject)}.${suffix}`)
          const read = await this.#trow.getManifest(this.#origin, tag, this.#signal)
          await this.#add(read, 'all', 0)
        } catch (error) {
          if (!(error instanceof PullError) || error.status !== 404) throw error
        }
      })
    }
  }

  async #addReferrers(subject: Digest): Promise<void> {
    await this.attempt(async () => {
      const referrers = await this.#trow.listReferrers(this.#origin, subject, this.#signal)
      await this.#fetchAll(referrers, 'all', 1)
    })
  }
}

/** Of a registry or of its content, so that other content may still be had. */
function isFailure(error: unknown): error is Error {
  if (error instanceof PullError || error instanceof UpstreamError) return true
  return error instanceof OciError || error instanceof StartError
}
