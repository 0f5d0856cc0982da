/**
 * Has a Trow fetch images, so that it has all of them: the manifests first, which tell how much there
 * is, then configs and layers. What fails keeps nothing else from being fetched.
 */
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { formatImageReference, type ImageReference } from '../oci/image-reference.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { mapOrdered } from './concurrency.ts'
import { ImageManifests, type Selection } from './image-manifests.ts'
import { type CachedManifest, LocalImage, type Origin, PullError } from './trow-client.ts'
import type { TrowClient } from './trow-client.ts'
import { warmBlob } from './warm-blob.ts'

/** What became of an image; its shape is that of the JSON output (`docs/cli.md`). */
export interface WarmResult {
  /** In full, as containerd has it; as it was given if that is no image's name. */
  readonly image: string
  readonly status: 'warmed' | 'present' | 'skipped' | 'failed'
  readonly digest?: Digest
  /** Of the images of an index. */
  readonly platforms?: readonly string[]
  /** Bytes of manifests, configs and layers, each counted once. */
  readonly size?: number
  /** Bytes of those that Trow did not have. */
  readonly fetchedSize?: number
  /** What failed, why it was skipped, or why it may be out of date. */
  readonly message?: string
}

export interface WarmProgress {
  /** So many more bytes are wanted. */
  expect(bytes: number): void
  /** So many more of them are there. */
  advance(bytes: number): void
}

export class ImageWarmer {
  readonly #trow: TrowClient
  readonly #selection: Selection
  readonly #signal: AbortSignal
  /** Blobs that were looked at already, with the bytes that had to be fetched: images share them. */
  readonly #blobs = new LruCache<string, Promise<number>>({
    entriesMax: limits.warmBlobsRememberedMax,
  })

  constructor(trow: TrowClient, selection: Selection, signal: AbortSignal) {
    this.#trow = trow
    this.#selection = selection
    this.#signal = signal
  }

  /** @throws the signal's reason when it is aborted. */
  async warm(image: ImageReference, progress: WarmProgress): Promise<WarmResult> {
    const name = formatImageReference(image)
    try {
      const root = await this.#trow.getManifest(image, image.reference, this.#signal)
      return { image: name, ...(await this.#warmContent(image, root, progress)) }
    } catch (error) {
      this.#signal.throwIfAborted()
      if (error instanceof LocalImage) {
        return { image: name, status: 'skipped', message: error.message }
      }
      if (!(error instanceof PullError || error instanceof UpstreamError)) throw error
      return { image: name, status: 'failed', message: error.message }
    }
  }

  async #warmContent(
    origin: Origin,
    root: CachedManifest,
    progress: WarmProgress,
  ): Promise<Omit<WarmResult, 'image'>> {
    const content = new ImageManifests(this.#trow, origin, this.#selection, this.#signal)
    await content.collect(root)
    const { platforms, failures } = content
    const manifests = [...content.manifests.values()]
    const blobs = [...content.blobs.values()]
    const manifestBytes = sumOf(manifests, ({ bytes }) => bytes.length)
    const size = manifestBytes + sumOf(blobs, ({ size }) => size)
    progress.expect(size)
    progress.advance(manifestBytes)
    let fetchedSize = sumOf(manifests, ({ cache, bytes }) =>
      cache === 'MISS' || cache === 'COALESCED' ? bytes.length : 0,
    )
    const fetching = mapOrdered(blobs, limits.warmBlobsAtOnce, async (blob) => {
      await content.attempt(async () => {
        // Not in one step: others add to it while this one waits.
        const fetched = await this.#warmBlob(origin, blob, progress)
        fetchedSize += fetched
      })
    })
    await Array.fromAsync(fetching)
    const message = failures[0] ?? root.warning
    return {
      status: statusOf(failures, fetchedSize),
      digest: root.digest,
      ...(platforms.size > 0 && { platforms: [...platforms] }),
      size,
      fetchedSize,
      ...(message !== undefined && { message }),
    }
  }

  async #warmBlob(origin: Origin, blob: Descriptor, progress: WarmProgress): Promise<number> {
    const key = `${origin.registry}/${origin.repository}@${blob.digest}`
    const known = this.#blobs.get(key)
    if (known !== undefined) {
      await known
      progress.advance(blob.size)
      return 0
    }
    const source = { trow: this.#trow, origin, signal: this.#signal }
    const fetching = warmBlob(source, blob, (bytes) => progress.advance(bytes))
    this.#blobs.set(key, fetching)
    return await fetching
  }
}

function statusOf(failures: readonly string[], fetchedSize: number): WarmResult['status'] {
  if (failures.length > 0) return 'failed'
  return fetchedSize > 0 ? 'warmed' : 'present'
}

function sumOf<T>(items: readonly T[], bytes: (item: T) => number): number {
  return items.reduce((sum, item) => sum + bytes(item), 0)
}
