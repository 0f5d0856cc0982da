/**
 * An OCI image layout that images are written to (image specification, image-layout.md). Files get
 * their names when they are complete, and `index.json` names an image when all of it is there.
 */
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { renameDurably, writeFileDurably } from '../lib/durable.ts'
import { type Descriptor, isRecord } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { parseManifest } from '../oci/manifest.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import {
  type BlobMove,
  type ContentDestination,
  type MovedManifest,
  MoveError,
} from './content-source.ts'
import { DirectoryTree } from './file-tree.ts'
import { containerdAnnotation, pathOf, referenceAnnotation } from './oci-layout.ts'

export interface LayoutNames {
  /** Where they come from; it begins their full names. */
  readonly registry: RegistryHost
  /** What clients find an image by in the layout. */
  nameOf(repository: RepositoryName, tag: Tag): string
  /** Images without a tag that are to be listed all the same. */
  readonly untagged: ReadonlySet<Digest>
}

interface IndexEntry {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

export class LayoutDestination implements ContentDestination {
  readonly #root: string
  readonly #files: DirectoryTree
  readonly #names: LayoutNames
  #entries: readonly IndexEntry[]
  #writing: Promise<void> = Promise.resolve()

  private constructor(root: string, names: LayoutNames, entries: readonly IndexEntry[]) {
    this.#root = root
    this.#files = new DirectoryTree(root)
    this.#names = names
    this.#entries = entries
  }

  /** A new layout, or one to which images are added. @throws MoveError for another directory. */
  static async open(
    root: string,
    names: LayoutNames,
    options: { readonly dryRun: boolean },
  ): Promise<LayoutDestination> {
    const layout = new LayoutDestination(root, names, await readEntries(root))
    if (options.dryRun) return layout
    await mkdir(join(root, 'blobs', 'sha256'), { recursive: true })
    await writeFileDurably(join(root, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    await layout.#writeIndex()
    return layout
  }

  refusalOf(): undefined {
    return undefined
  }

  async findManifest(
    repository: RepositoryName,
    reference: Reference,
  ): Promise<Digest | undefined> {
    if (isDigestReference(reference)) {
      const isKnown = (await this.#files.sizeOf(pathOf(reference))) !== undefined
      const isListed = this.#entries.some(({ digest }) => digest === reference)
      return isKnown && (isListed || !this.#names.untagged.has(reference)) ? reference : undefined
    }
    const name = this.#names.nameOf(repository, reference)
    const found = this.#entries.find(
      ({ annotations }) => annotations?.[referenceAnnotation] === name,
    )
    return found?.digest as Digest | undefined
  }

  async hasBlob(_: RepositoryName, digest: Digest): Promise<boolean> {
    return (await this.#files.sizeOf(pathOf(digest))) !== undefined
  }

  async putBlob(
    repository: RepositoryName,
    { digest }: Descriptor,
    { open: openBlob }: BlobMove,
  ): Promise<boolean> {
    if (await this.hasBlob(repository, digest)) return false
    const path = join(this.#root, pathOf(digest))
    const partial = `${path}.partial`
    await mkdir(dirname(path), { recursive: true })
    try {
      await using file = await open(partial, 'w')
      for await (const chunk of openBlob()) await file.writeFile(chunk)
      await file.sync()
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
    await renameDurably(partial, path)
    return true
  }

  async putManifest(
    repository: RepositoryName,
    { digest, mediaType, bytes }: MovedManifest,
    tag: Tag | undefined,
  ): Promise<void> {
    const path = join(this.#root, pathOf(digest))
    await mkdir(dirname(path), { recursive: true })
    await writeFileDurably(path, bytes)
    const entry = { mediaType, digest, size: bytes.length }
    const full = `${this.#names.registry}/${repository}`
    if (tag !== undefined) {
      const name = this.#names.nameOf(repository, tag)
      const annotations = { [referenceAnnotation]: name, [containerdAnnotation]: `${full}:${tag}` }
      await this.#list({ ...entry, annotations })
      return
    }
    // Clients find what refers to an image by going through the index.
    const isReferrer = parseManifest(bytes, mediaType).subject !== undefined
    if (!isReferrer && !this.#names.untagged.has(digest)) return
    await this.#list({ ...entry, annotations: { [containerdAnnotation]: `${full}@${digest}` } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
  }

  async #list(entry: IndexEntry): Promise<void> {
    const name = entry.annotations?.[referenceAnnotation]
    const others = this.#entries.filter((other) => {
      const known = other.annotations?.[referenceAnnotation]
      return name === undefined
        ? known !== undefined || other.digest !== entry.digest
        : known !== name
    })
    this.#entries = [...others, entry]
    this.#writing = this.#writing.then(() => this.#writeIndex())
    await this.#writing
  }

  async #writeIndex(): Promise<void> {
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    const document = { schemaVersion: 2, mediaType, manifests: this.#entries }
    await writeFileDurably(join(this.#root, 'index.json'), JSON.stringify(document))
  }
}

async function readEntries(root: string): Promise<IndexEntry[]> {
  let text: string
  try {
    text = await readFile(join(root, 'index.json'), 'utf8')
  } catch {
    return []
  }
  try {
    const index: unknown = JSON.parse(text)
    const entries: unknown = isRecord(index) ? index['manifests'] : undefined
    if (Array.isArray(entries)) return entries as IndexEntry[]
  } catch {
    // Told below.
  }
  throw new MoveError(`${root} is no OCI image layout: its index.json lists no manifests`)
}
