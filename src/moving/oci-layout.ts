/**
 * An OCI image layout, in a directory or an archive (image specification, image-layout.md). Which
 * repository and tag an image is for, annotations say: containerd's with the whole name, the
 * specification's with a tag or a whole name.
 */
import { limits } from '../config/limits.ts'
import { type Descriptor, isRecord } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { isTag, type Tag } from '../oci/tag.ts'
import {
  type ContentSource,
  MoveError,
  type SourceImage,
  type SourceProblem,
} from './content-source.ts'
import { type FileTree, readSmall, readSmallJson } from './file-tree.ts'
import { parseNameOf } from './image-name.ts'
import { checkFile } from './stored-file.ts'

export const referenceAnnotation = 'org.opencontainers.image.ref.name'
export const containerdAnnotation = 'io.containerd.image.name'

/** What an entry of `index.json` is called. */
interface EntryName {
  readonly repository?: RepositoryName
  readonly tag?: Tag
}

interface NamedEntry extends EntryName {
  readonly digest: Digest
}

export class OciLayout implements ContentSource {
  readonly description = 'an OCI image layout'
  readonly #files: FileTree
  readonly #repository: RepositoryName | undefined

  /** @param repository for all that is in it, whatever it is called there. */
  constructor(files: FileTree, repository: RepositoryName | undefined) {
    this.#files = files
    this.#repository = repository
  }

  async *list(): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    const index = await readSmallJson(this.#files, 'index.json', limits.layoutIndexBytesMax)
    const listed: unknown = isRecord(index) ? index['manifests'] : undefined
    if (!Array.isArray(listed)) throw new MoveError('index.json lists no manifests')
    if (listed.length > limits.movedImagesMax) {
      throw new MoveError(`index.json lists more than ${limits.movedImagesMax} manifests`)
    }
    const entries = listed.map((entry: unknown) => parseEntry(entry))
    const named = new Set(entries.flatMap((entry) => ('digest' in entry && entry.repository) || []))
    // What has no name of its own belongs to the only one there is.
    const [only] = named.size === 1 ? named : []
    for (const entry of entries) yield 'problem' in entry ? entry : this.#place(entry, only)
  }

  #place(
    { repository: own, tag, digest }: NamedEntry,
    only: RepositoryName | undefined,
  ): SourceImage | SourceProblem {
    const repository = this.#repository ?? own ?? only
    if (repository !== undefined) return { repository, digest, ...(tag !== undefined && { tag }) }
    const problem = 'it names no repository: say which with --repository NAME'
    return { name: tag ?? digest, problem }
  }

  async readManifest(_: RepositoryName, digest: Digest): Promise<{ readonly bytes: Uint8Array }> {
    if ((await this.#files.sizeOf(pathOf(digest))) === undefined) {
      throw new MoveError(`${digest} is missing`)
    }
    return { bytes: await readSmall(this.#files, pathOf(digest), limits.manifestBytesMax) }
  }

  async checkBlob(_: RepositoryName, blob: Descriptor): Promise<void> {
    await checkFile(this.#files, pathOf(blob.digest), blob)
  }

  async *openBlob(_: RepositoryName, blob: Descriptor): AsyncGenerator<Uint8Array> {
    await checkFile(this.#files, pathOf(blob.digest), blob)
    yield* this.#files.read(pathOf(blob.digest))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]()
  }
}

export function pathOf(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`
}

function parseEntry(entry: unknown): NamedEntry | SourceProblem {
  const { digest, annotations } = isRecord(entry) ? entry : {}
  if (typeof digest !== 'string' || !isDigest(digest)) {
    return { name: 'index.json', problem: 'an entry has no valid sha256 or sha512 digest' }
  }
  const texts = isRecord(annotations) ? annotations : {}
  return {
    digest,
    ...nameOf(texts[containerdAnnotation]),
    ...tagOf(texts[referenceAnnotation], texts),
  }
}

function nameOf(text: unknown): EntryName {
  return typeof text === 'string' ? (parseNameOf(text) ?? {}) : {}
}

function tagOf(text: unknown, texts: Record<string, unknown>): EntryName {
  if (typeof text !== 'string') return {}
  if (isTag(text)) return { tag: text }
  return texts[containerdAnnotation] === undefined ? nameOf(text) : {}
}
