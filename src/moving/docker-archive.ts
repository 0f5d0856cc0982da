/**
 * An archive of `docker save` before docker 25, or of `skopeo copy docker-archive:`: `manifest.json`
 * names a config and layers, and knows no digests. So the layers are read once to make a manifest, and
 * held against the config, which has the digest of each.
 */
import { limits } from '../config/limits.ts'
import { type Descriptor, isRecord } from '../oci/descriptor.ts'
import { type Digest, Digester, digestOf } from '../oci/digest.ts'
import { mediaTypes } from '../oci/media-type.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import {
  type ContentSource,
  MoveError,
  type SourceImage,
  type SourceProblem,
} from './content-source.ts'
import { type FileTree, readSmall, readSmallJson } from './file-tree.ts'
import { parseNameOf } from './image-name.ts'

const configMediaType = 'application/vnd.docker.container.image.v1+json'
const layerMediaType = 'application/vnd.docker.image.rootfs.diff.tar'

interface Entry {
  readonly config: string
  readonly layers: readonly string[]
  readonly names: readonly string[]
}

export class DockerArchive implements ContentSource {
  readonly description = 'an archive of docker save'
  readonly #files: FileTree
  readonly #repository: RepositoryName | undefined
  readonly #manifests = new Map<Digest, Uint8Array>()
  readonly #paths = new Map<Digest, string>()
  /** What images share is read once. */
  readonly #described = new Map<string, Descriptor>()

  constructor(files: FileTree, repository: RepositoryName | undefined) {
    this.#files = files
    this.#repository = repository
  }

  async *list(): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    const listed = await readSmallJson(this.#files, 'manifest.json', limits.layoutIndexBytesMax)
    if (!Array.isArray(listed)) throw new MoveError('manifest.json is no list of images')
    for (const item of listed as unknown[]) {
      const entry = parseEntry(item)
      if (entry === undefined) {
        yield {
          name: 'manifest.json',
          problem: `an entry has no Config and Layers, or more than ${limits.archiveLayersMax}`,
        }
        continue
      }
      try {
        const digest = await this.#makeManifest(entry)
        yield* this.#place(entry, digest)
      } catch (error) {
        if (!(error instanceof MoveError)) throw error
        yield { name: entry.names[0] ?? entry.config, problem: error.message }
      }
    }
  }

  *#place({ names }: Entry, digest: Digest): Generator<SourceImage | SourceProblem> {
    if (names.length === 0 && this.#repository !== undefined) {
      yield { repository: this.#repository, digest }
    } else if (names.length === 0) {
      yield { name: digest, problem: 'it names no repository: say which with --repository NAME' }
    }
    for (const name of names) {
      const parsed = parseNameOf(name)
      const repository = this.#repository ?? parsed?.repository
      if (repository === undefined) yield { name, problem: 'no valid name of an image' }
      else yield { repository, digest, ...(parsed?.tag !== undefined && { tag: parsed.tag }) }
    }
  }

  async #makeManifest({ config, layers }: Entry): Promise<Digest> {
    const bytes = await readSmall(this.#files, config, limits.manifestBytesMax)
    const diffIds = parseDiffIds(bytes)
    if (diffIds === undefined) throw new MoveError('its config has no rootfs.diff_ids')
    if (diffIds.length !== layers.length) {
      throw new MoveError(`its config has ${diffIds.length} layers, manifest.json ${layers.length}`)
    }
    const described: Descriptor[] = []
    for (const layer of layers) described.push(await this.#describe(layer, layerMediaType))
    checkLayers(described, diffIds)
    const document = {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerManifest,
      config: await this.#describe(config, configMediaType),
      layers: described,
    }
    const manifest = Buffer.from(JSON.stringify(document))
    const digest = digestOf(manifest)
    this.#manifests.set(digest, manifest)
    return digest
  }

  async #describe(path: string, mediaType: string): Promise<Descriptor> {
    const known = this.#described.get(path)
    if (known !== undefined) return known
    const digester = new Digester('sha256')
    let isGzip = false
    for await (const chunk of this.#files.read(path)) {
      if (digester.size === 0) isGzip = chunk[0] === 0x1f && chunk[1] === 0x8b
      digester.update(chunk)
    }
    const { size } = digester
    const digest = digester.digest()
    this.#paths.set(digest, path)
    const described = { mediaType: isGzip ? `${mediaType}.gzip` : mediaType, size, digest }
    this.#described.set(path, described)
    return described
  }

  async readManifest(_: RepositoryName, digest: Digest): Promise<{ readonly bytes: Uint8Array }> {
    const bytes = this.#manifests.get(digest)
    if (bytes === undefined) throw new MoveError(`${digest} is missing`)
    return { bytes }
  }

  async checkBlob(): Promise<void> {
    // All were read to make the manifest.
  }

  async *openBlob(_: RepositoryName, { digest }: Descriptor): AsyncGenerator<Uint8Array> {
    yield* this.#files.read(this.#paths.get(digest) ?? digest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
  }
}

/** The config has the digests of the layers as they are when unpacked. @throws MoveError */
function checkLayers(layers: readonly Descriptor[], diffIds: readonly string[]): void {
  for (const [index, { digest, mediaType }] of layers.entries()) {
    if (mediaType === layerMediaType && digest !== diffIds[index]) {
      throw new MoveError(`layer ${index + 1} is damaged: it is ${digest}, not ${diffIds[index]}`)
    }
  }
}

function parseDiffIds(config: Buffer): string[] | undefined {
  try {
    const document: unknown = JSON.parse(config.toString())
    const rootfs: unknown = isRecord(document) ? document['rootfs'] : undefined
    return isRecord(rootfs) ? textsOf(rootfs['diff_ids']) : undefined
  } catch {
    return undefined
  }
}

function parseEntry(item: unknown): Entry | undefined {
  if (!isRecord(item)) return undefined
  const { Config: config, Layers: listed, RepoTags: names } = item
  const layers = textsOf(listed)
  if (typeof config !== 'string' || layers === undefined) return undefined
  if (layers.length > limits.archiveLayersMax) return undefined
  return { config, layers, names: textsOf(names) ?? [] }
}

function textsOf(value: unknown): string[] | undefined {
  const isList = Array.isArray(value) && value.every((text) => typeof text === 'string')
  return isList ? value : undefined
}
