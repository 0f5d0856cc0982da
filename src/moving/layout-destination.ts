/**
 * An OCI image layout that images are written to (image specification, image-layout.md). Files get
 * their names when they are complete, and `index.json` names an image when all of it is there. What a
 * crash leaves is in one directory, which the next to write here removes.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { limits } from '../config/limits.ts'
import { renameDurably, writeFileDurably } from '../lib/durable.ts'
import { type Descriptor, isRecord } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { type Manifest, parseManifest } from '../oci/manifest.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import {
  type BlobMove,
  type ContentDestination,
  type MovedManifest,
  MoveError,
} from './content-source.ts'
import { DirectoryTree, readSmall } from './file-tree.ts'
import { containerdAnnotation, pathOf, referenceAnnotation } from './oci-layout.ts'

export interface LayoutNames {
  /** Where they come from; it begins their full names. */
  readonly registry: RegistryHost
  /** What clients find an image by in the layout. */
  nameOf(repository: RepositoryName, tag: Tag): string
  /** Images without a tag that are to be listed all the same. */
  readonly untagged: ReadonlySet<Digest>
}

/** Files that have no name yet. */
const stagingName = '.trow-export'

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
    await rm(join(root, stagingName), { recursive: true, force: true })
    await mkdir(join(root, stagingName), { recursive: true })
    await mkdir(join(root, 'blobs', 'sha256'), { recursive: true })
    await layout.#write('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
    await layout.#writeIndex()
    return layout
  }

  /** What `index.json` names. */
  get listed(): Digest[] {
    return this.#entries.map(({ digest }) => digest as Digest)
  }

  refusalOf(): undefined {
    return undefined
  }

  async findManifest(
    repository: RepositoryName,
    reference: Reference,
  ): Promise<Digest | undefined> {
    if (isDigestReference(reference)) return await this.#findByDigest(reference)
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
    const staging = this.#staging()
    await mkdir(dirname(path), { recursive: true })
    try {
      await using file = await open(staging, 'wx')
      for await (const chunk of openBlob()) await file.writeFile(chunk)
      await file.sync()
    } catch (error) {
      await rm(staging, { force: true })
      throw error
    }
    await renameDurably(staging, path)
    return true
  }

  async putManifest(
    repository: RepositoryName,
    { digest, mediaType, bytes }: MovedManifest,
    tag: Tag | undefined,
  ): Promise<void> {
    await mkdir(dirname(join(this.#root, pathOf(digest))), { recursive: true })
    await this.#write(pathOf(digest), bytes)
    const entry = { mediaType, digest, size: bytes.length }
    const full = `${this.#names.registry}/${repository}`
    if (tag !== undefined) {
      const name = this.#names.nameOf(repository, tag)
      const annotations = { [referenceAnnotation]: name, [containerdAnnotation]: `${full}:${tag}` }
      await this.#list({ ...entry, annotations })
      return
    }
    if (!this.#isListedByDigest(digest, parseManifest(bytes, mediaType))) return
    await this.#list({ ...entry, annotations: { [containerdAnnotation]: `${full}@${digest}` } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
    await rm(join(this.#root, stagingName), { recursive: true, force: true })
  }

  /** A file alone does not do where clients must find it: a crash may have come before its entry. */
  async #findByDigest(digest: Digest): Promise<Digest | undefined> {
    if (this.#entries.some((entry) => entry.digest === digest)) return digest
    if ((await this.#files.sizeOf(pathOf(digest))) === undefined) return undefined
    const bytes = await readSmall(this.#files, pathOf(digest), limits.manifestBytesMax)
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) return undefined
    return this.#isListedByDigest(digest, parseManifest(bytes, undefined)) ? undefined : digest
  }

  /** Clients find what refers to an image by going through the index. */
  #isListedByDigest(digest: Digest, { subject }: Manifest): boolean {
    return subject !== undefined || this.#names.untagged.has(digest)
  }

  async #list(entry: IndexEntry): Promise<void> {
    const name = entry.annotations?.[referenceAnnotation]
    const others = this.#entries.filter((other) => {
      const known = other.annotations?.[referenceAnnotation]
      return name === undefined
        ? known !== undefined || other.digest !== entry.digest
        : known !== name
    })
    this.#entries = [...others, entry].toSorted(byName)
    this.#writing = this.#writing.then(() => this.#writeIndex())
    await this.#writing
  }

  async #writeIndex(): Promise<void> {
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    const document = { schemaVersion: 2, mediaType, manifests: this.#entries }
    await this.#write('index.json', JSON.stringify(document))
  }

  async #write(path: string, bytes: Uint8Array | string): Promise<void> {
    await writeFileDurably(join(this.#root, path), bytes, { staging: this.#staging() })
  }

  #staging(): string {
    return join(this.#root, stagingName, randomUUID())
  }
}

/** However they came, the same images make the same file. */
function byName(one: IndexEntry, other: IndexEntry): number {
  const [left, right] = [nameIn(one), nameIn(other)]
  return left < right ? -1 : Number(left > right)
}

function nameIn({ annotations, digest }: IndexEntry): string {
  return [annotations?.[referenceAnnotation], annotations?.[containerdAnnotation], digest].join(' ')
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
