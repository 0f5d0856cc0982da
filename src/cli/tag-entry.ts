/**
 * What `trow ls` tells about a tag: its digest, and the images behind it with platform and size.
 * Many tags name one image, so images are remembered, and asked for once.
 */
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/tag.ts'
import { mapOrdered } from './concurrency.ts'
import { formatPlatform } from './format.ts'
import {
  artifactTypeOf,
  contentBytes,
  imageConfigOf,
  isAboutOneThing,
  isIndex,
  readImageConfig,
  type ReadManifest,
  readManifest,
  type RemoteRepository,
} from './image-content.ts'

export interface TagImage {
  /** Of the image's own manifest. */
  readonly digest: Digest
  /** `os/architecture[/variant]`; absent for what runs nowhere, as artifacts. */
  readonly platform?: string
  /** Bytes of config and layers; absent when the registry does not have the manifest. */
  readonly size?: number
}

export interface TagEntry {
  readonly name: Tag
  readonly digest?: Digest
  readonly mediaType?: string
  readonly artifactType?: string
  readonly images?: readonly TagImage[]
  /** Why there is nothing else. */
  readonly error?: string
}

export class TagReader {
  readonly #remote: RemoteRepository
  readonly #images = new LruCache<Digest, Promise<readonly TagImage[]>>({
    entriesMax: limits.listImagesCachedMax,
  })

  constructor(remote: RemoteRepository) {
    this.#remote = remote
  }

  /** @throws UpstreamError when not only this tag is concerned. */
  async readTag(name: Tag): Promise<TagEntry> {
    try {
      const read = await readManifest(this.#remote, name)
      const { digest, mediaType } = read
      const artifactType = artifactTypeOf(read)
      return {
        name,
        digest,
        mediaType,
        ...(artifactType !== undefined && { artifactType }),
        images: await this.#imagesOf(read, 0),
      }
    } catch (error) {
      if (!isAboutOneThing(error)) throw error
      return { name, error: error.message }
    }
  }

  async #imagesOf(read: ReadManifest, depth: number): Promise<readonly TagImage[]> {
    const known = this.#images.get(read.digest)
    if (known !== undefined) return await known
    const images = isIndex(read.manifest) ? this.#childrenOf(read, depth) : this.#imageOf(read)
    this.#images.set(read.digest, images)
    return await images
  }

  async #imageOf(read: ReadManifest): Promise<readonly TagImage[]> {
    const { digest, manifest } = read
    const config = imageConfigOf(read)
    const { platform } = config ? await readImageConfig(this.#remote, config.digest) : {}
    const size = contentBytes([...manifest.blobs, ...manifest.optionalBlobs])
    return [{ digest, ...(platform && { platform: formatPlatform(platform) }), size }]
  }

  /** Attestations (`unknown/unknown`) are no images. */
  async #childrenOf({ manifest }: ReadManifest, depth: number): Promise<readonly TagImage[]> {
    const children = manifest.manifests.filter(({ platform }) => platform?.os !== 'unknown')
    const images = mapOrdered(children, limits.listConcurrency, async ({ digest, platform }) => {
      const found = await this.#childOf(digest, depth)
      const shown = platform && { platform: formatPlatform(platform) }
      return found.map((image) => ({ ...image, ...shown }))
    })
    return (await Array.fromAsync(images)).flat()
  }

  /** A registry may hold an index and not all of its images. */
  async #childOf(digest: Digest, depth: number): Promise<readonly TagImage[]> {
    if (depth >= limits.inspectDepthMax) return [{ digest }]
    try {
      return await this.#imagesOf(await readManifest(this.#remote, digest), depth + 1)
    } catch (error) {
      if (!isAboutOneThing(error)) throw error
      return [{ digest }]
    }
  }
}
