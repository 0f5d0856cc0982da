/**
 * Fills an empty database from what is on disk: links say which repository has which blobs and manifests,
 * and what its tags point at; the manifests say the rest. A manifest is taken even where something that it needs is lost,
 * and that is told.
 */
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { parseManifest } from '../oci/manifest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import { isDigestReference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import { entryOf } from './manifest-entry.ts'
import type { OperationMonitor } from './operation.ts'
import { type BlobStore, UnreadableContent } from './ports/blob-store.ts'
import type { Link, LinkEntry, LinkStore } from './ports/link-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { ManifestEntry } from './ports/records.ts'
import { readWhole } from './read-whole.ts'

/**
 * As they were told last. There may be millions, so no more is kept of each than its digest, once, and what
 * else it says.
 */
type LastLinks = Map<RepositoryName, RepositoryLinks>

interface RepositoryLinks {
  readonly blobs: Set<Digest>
  /** With their media types. */
  readonly manifests: Map<Digest, string>
  readonly tags: Map<Tag, Pick<Link, 'digest' | 'mediaType'>>
}

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly links: LinkStore
}

interface Settings {
  readonly manifestBytesMax: number
  /** Of manifests, for which something that they need is lost; a scrub tells that as well. */
  readonly tellsIncomplete: boolean
}

/** What could not be brought back as it was. */
export interface RebuildProblem {
  readonly repository: RepositoryName
  readonly reference: string
  readonly message: string
}

export interface RebuildReport {
  readonly repositories: number
  readonly manifests: number
  readonly tags: number
  readonly blobs: number
  readonly problems: number
}

export class Rebuild {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #monitor: OperationMonitor
  readonly #repositories = new Set<RepositoryName>()
  #counts = { manifests: 0, tags: 0, blobs: 0, problems: 0 }

  constructor(parts: Parts, settings: Settings, monitor: OperationMonitor) {
    this.#parts = parts
    this.#settings = settings
    this.#monitor = monitor
  }

  async run(): Promise<RebuildReport> {
    const last = await this.#readLinks()
    const total = last
      .values()
      .reduce((sum, { blobs, manifests, tags }) => sum + blobs.size + manifests.size + tags.size, 0)
    let done = 0
    for (const link of inOrder(last)) {
      this.#monitor.signal.throwIfAborted()
      await this.#restore(link)
      done += 1
      this.#monitor.progress({ step: 'links', done, total })
    }
    return { repositories: this.#repositories.size, ...this.#counts }
  }

  async #readLinks(): Promise<LastLinks> {
    const last: LastLinks = new Map()
    for await (const entry of this.#parts.links.read()) {
      if ('damaged' in entry) {
        this.#counts.problems += 1
        await this.#monitor.tell({ message: `a line of links.log is damaged: ${entry.damaged}` })
        continue
      }
      note(last, entry)
    }
    return last
  }

  async #restore(link: Link): Promise<void> {
    const { repository, reference, mediaType } = link
    this.#repositories.add(repository)
    if (mediaType === '') return await this.#restoreBlob(link)
    const entry = await this.#readEntry(link)
    if (entry === undefined) return
    const tags = isDigestReference(reference) ? [] : [reference]
    const { metadata } = this.#parts
    await metadata.putManifest(repository, entry, tags, { sparse: true })
    if (tags.length > 0) {
      this.#counts.tags += 1
      return
    }
    this.#counts.manifests += 1
    if (isProxiedName(repository) || !this.#settings.tellsIncomplete) return
    const missing = await metadata.findMissingContent(repository, { ...entry, manifests: [] })
    if (missing.length === 0) return
    await this.#tell(link, `what it needs is lost: ${missing.join(', ')}; push the image again`)
  }

  /** One that is lost is told of with the manifest that needs it. */
  async #restoreBlob({ repository, digest }: Link): Promise<void> {
    const stored = await this.#parts.blobs.statBlob(digest)
    if (stored === undefined) return
    await this.#parts.metadata.putBlob(repository, stored)
    this.#counts.blobs += 1
  }

  async #readEntry(link: Link): Promise<ManifestEntry | undefined> {
    const { digest, mediaType } = link
    const stored = await this.#parts.blobs.statBlob(digest)
    if (stored === undefined || stored.size > this.#settings.manifestBytesMax) {
      await this.#tell(link, 'its manifest is lost; push the image again')
      return undefined
    }
    const bytes = await readWhole(this.#parts.blobs, stored).catch((error: unknown) => {
      if (!(error instanceof UnreadableContent)) throw error
    })
    if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      await this.#tell(link, 'its manifest is damaged or cannot be read; push the image again')
      return undefined
    }
    try {
      return entryOf(parseManifest(bytes, mediaType), digest, bytes.length)
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      await this.#tell(link, error.message)
      return undefined
    }
  }

  async #tell({ repository, reference }: Link, message: string): Promise<void> {
    this.#counts.problems += 1
    const problem: RebuildProblem = { repository, reference, message }
    await this.#monitor.tell(problem)
  }
}

function note(last: LastLinks, { repository, reference, ...told }: LinkEntry): void {
  const known = last.get(repository)
  const links = known ?? { blobs: new Set(), manifests: new Map(), tags: new Map() }
  if (known === undefined) last.set(repository, links)
  if (!isDigestReference(reference)) {
    if (told.digest === undefined) links.tags.delete(reference)
    else links.tags.set(reference, told)
    return
  }
  links.blobs.delete(reference)
  links.manifests.delete(reference)
  if (told.digest === undefined) return
  if (told.mediaType === '') links.blobs.add(reference)
  else links.manifests.set(reference, told.mediaType)
}

/** Blobs, then manifests, then the tags that point at them. */
function* inOrder(last: LastLinks): Generator<Link> {
  for (const [repository, { blobs }] of last) {
    for (const digest of blobs) yield { repository, reference: digest, digest, mediaType: '' }
  }
  for (const [repository, { manifests }] of last) {
    for (const [digest, mediaType] of manifests) {
      yield { repository, reference: digest, digest, mediaType }
    }
  }
  for (const [repository, { manifests, tags }] of last) {
    for (const [reference, { digest, mediaType }] of tags) {
      // A manifest may have been pushed with another media type after the tag was told.
      yield { repository, reference, digest, mediaType: manifests.get(digest) ?? mediaType }
    }
  }
}
