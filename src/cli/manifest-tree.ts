/**
 * The tree that a manifest is the root of, as `trow inspect` shows it: an index with its images, an
 * image with config and layers. Its shape is that of the JSON output (`docs/cli.md`).
 */
import { limits } from '../config/limits.ts'
import { type Descriptor, isRecord } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-type.ts'
import { mapOrdered } from './concurrency.ts'
import { formatPlatform } from './format.ts'
import {
  artifactTypeOf,
  imageConfigOf,
  isAboutOneThing,
  isIndex,
  readImageConfig,
  type ReadManifest,
  readManifest,
  type RemoteRepository,
} from './image-content.ts'

export interface ContentNode {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

export interface ConfigNode extends ContentNode {
  readonly created?: string
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  readonly envCount?: number
}

export interface ManifestNode extends ContentNode {
  /** `os/architecture[/variant]`, as the index says, else as the config says. */
  readonly platform?: string
  readonly artifactType?: string
  readonly subject?: ContentNode
  readonly config?: ConfigNode
  readonly layers?: readonly ContentNode[]
  readonly manifests?: readonly ManifestNode[]
  /** Why there is nothing below. */
  readonly error?: string
}

export interface TreeOptions {
  /** Called with how many manifests are going to be read. */
  readonly onExpected: (count: number) => void
  readonly onRead: () => void
}

/** Reads the tree below a manifest, bounded in depth and number. */
export class TreeReader {
  readonly #remote: RemoteRepository
  readonly #options: TreeOptions
  #left: number = limits.inspectManifestsMax

  constructor(remote: RemoteRepository, options: TreeOptions) {
    this.#remote = remote
    this.#options = options
  }

  async readTree(read: ReadManifest, depth = 0): Promise<ManifestNode> {
    const { bytes, mediaType, digest, manifest } = read
    const { annotations, subject } = manifest
    const artifactType = artifactTypeOf(read)
    return {
      mediaType,
      digest,
      size: bytes.length,
      ...(artifactType !== undefined && { artifactType }),
      ...(annotations && { annotations }),
      ...(subject && { subject: contentNode(subject) }),
      ...(isIndex(manifest) ? await this.#index(read, depth) : await this.#image(read)),
    }
  }

  async #image(read: ReadManifest): Promise<Partial<ManifestNode>> {
    const { document, mediaType } = read
    const layers = nodesOf(document[mediaType === mediaTypes.ociArtifact ? 'blobs' : 'layers'])
    const [config] = nodesOf([document['config']])
    const descriptor = imageConfigOf(read)
    if (config === undefined || descriptor === undefined) {
      return { ...(config && { config }), layers }
    }
    const { platform, ...fields } = await readImageConfig(this.#remote, descriptor.digest)
    const shown = platform && { platform: formatPlatform(platform) }
    return { ...shown, config: { ...config, ...fields }, layers }
  }

  async #index({ manifest }: ReadManifest, depth: number): Promise<Partial<ManifestNode>> {
    const children = manifest.manifests
    this.#options.onExpected(children.length)
    const nodes = mapOrdered(children, limits.listConcurrency, async (child) => {
      const node = await this.#child(child, depth + 1)
      this.#options.onRead()
      return node
    })
    const layers = manifest.blobs.map(contentNode)
    return {
      manifests: await Array.fromAsync(nodes),
      // What BuildKit's cache lists beside manifests.
      ...(layers.length > 0 && { layers }),
    }
  }

  async #child(descriptor: Descriptor, depth: number): Promise<ManifestNode> {
    const { platform } = descriptor
    const shown = platform && { platform: formatPlatform(platform) }
    this.#left -= 1
    if (depth > limits.inspectDepthMax || this.#left < 0) {
      return { ...contentNode(descriptor), ...shown, error: 'the tree is too large to go on' }
    }
    try {
      const read = await readManifest(this.#remote, descriptor.digest)
      return { ...(await this.readTree(read, depth)), ...shown }
    } catch (error) {
      if (!isAboutOneThing(error)) throw error
      return { ...contentNode(descriptor), ...shown, error: error.message }
    }
  }
}

/** Bytes of everything below a node but manifests, each blob counted once. */
export function contentBytesOf(node: ManifestNode): number {
  const sizes = new Map<Digest, number>()
  const collect = ({ config, layers = [], manifests = [] }: ManifestNode) => {
    for (const { digest, size } of [...(config ? [config] : []), ...layers]) sizes.set(digest, size)
    manifests.forEach(collect)
  }
  collect(node)
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

function contentNode({ mediaType, digest, size }: Descriptor): ContentNode {
  return { mediaType, digest, size }
}

/** Descriptors with their annotations; the manifest was parsed, so they are sound. */
function nodesOf(value: unknown): ContentNode[] {
  const entries: unknown[] = Array.isArray(value) ? value : []
  return entries.filter(isRecord).map((entry) => {
    const { annotations } = entry
    const node = contentNode(entry as unknown as Descriptor)
    return isRecord(annotations)
      ? { ...node, annotations: annotations as Record<string, string> }
      : node
  })
}
