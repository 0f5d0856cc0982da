/**
 * Fills an empty database from what is on disk: links say which repository has which manifest under
 * which tags, the manifests say the rest. All repositories, manifests, tags and referrers come back, and
 * of blobs those that a manifest needs. A manifest is taken even where something that it needs is lost,
 * and that is told.
 */
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { parseManifest } from '../oci/manifest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import { isDigestReference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { entryOf } from './manifest-entry.ts'
import type { OperationMonitor } from './operation.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { Link, LinkStore } from './ports/link-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { ManifestEntry } from './ports/records.ts'
import { readWhole } from './read-whole.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly links: LinkStore
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
  readonly #manifestBytesMax: number
  readonly #monitor: OperationMonitor
  readonly #repositories = new Set<RepositoryName>()
  #counts = { manifests: 0, tags: 0, blobs: 0, problems: 0 }

  constructor(parts: Parts, settings: { manifestBytesMax: number }, monitor: OperationMonitor) {
    this.#parts = parts
    this.#manifestBytesMax = settings.manifestBytesMax
    this.#monitor = monitor
  }

  async run(): Promise<RebuildReport> {
    const links = await this.#readLinks()
    let done = 0
    for (const link of links) {
      this.#monitor.signal.throwIfAborted()
      await this.#restore(link)
      done += 1
      this.#monitor.progress({ step: 'links', done, total: links.length })
    }
    return { repositories: this.#repositories.size, ...this.#counts }
  }

  /** As they were told last: manifests before the tags that point at them. */
  async #readLinks(): Promise<Link[]> {
    const last = new Map<string, Link>()
    for await (const entry of this.#parts.links.read()) {
      if ('damaged' in entry) {
        this.#counts.problems += 1
        await this.#monitor.tell({ message: `a line of links.log is damaged: ${entry.damaged}` })
        continue
      }
      const key = `${entry.repository} ${entry.reference}`
      if (entry.digest === undefined) last.delete(key)
      else last.set(key, entry)
    }
    const links = [...last.values()]
    const isManifest = ({ reference }: Link): boolean => isDigestReference(reference)
    return [...links.filter(isManifest), ...links.filter((link) => !isManifest(link))]
  }

  async #restore(link: Link): Promise<void> {
    const { repository, reference } = link
    const entry = await this.#readEntry(link)
    if (entry === undefined) return
    this.#repositories.add(repository)
    const { metadata } = this.#parts
    if (!isDigestReference(reference)) {
      await metadata.putManifest(repository, entry, [reference], { sparse: true })
      this.#counts.tags += 1
      return
    }
    const missing = await this.#restoreBlobs(repository, entry)
    await metadata.putManifest(repository, entry, [], { sparse: true })
    this.#counts.manifests += 1
    if (missing.length === 0 || isProxiedName(repository)) return
    await this.#tell(link, `what it needs is lost: ${missing.join(', ')}; push the image again`)
  }

  async #readEntry(link: Link): Promise<ManifestEntry | undefined> {
    const { digest, mediaType } = link
    const stored = await this.#parts.blobs.statBlob(digest)
    if (stored === undefined || stored.size > this.#manifestBytesMax) {
      await this.#tell(link, 'its manifest is lost; push the image again')
      return undefined
    }
    const bytes = await readWhole(this.#parts.blobs, stored)
    if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      await this.#tell(link, 'its manifest is damaged; push the image again')
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

  /** @returns those that are not there. */
  async #restoreBlobs(repository: RepositoryName, entry: ManifestEntry): Promise<Digest[]> {
    const { metadata, blobs } = this.#parts
    const missing: Digest[] = []
    for (const digest of [...entry.blobs, ...entry.optionalBlobs]) {
      const stored = await blobs.statBlob(digest)
      if (stored === undefined) {
        if (entry.blobs.includes(digest)) missing.push(digest)
        continue
      }
      await metadata.putBlob(repository, stored)
      this.#counts.blobs += 1
    }
    return missing
  }

  async #tell({ repository, reference }: Link, message: string): Promise<void> {
    this.#counts.problems += 1
    const problem: RebuildProblem = { repository, reference, message }
    await this.#monitor.tell(problem)
  }
}
