/**
 * The part of a scrub that is about manifests: each can be read, has what it needs in its repository, and
 * is known by what is in it.
 */
import { digestAlgorithm, digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { parseManifest } from '../oci/manifest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import { entryOf } from './manifest-entry.ts'
import type { OperationMonitor } from './operation.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { RepositoryManifest } from './ports/collection-metadata.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { ManifestEntry } from './ports/records.ts'
import { readWhole } from './read-whole.ts'
import type { ScrubOptions, ScrubProblem } from './scrub.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
}

interface Bounds {
  readonly rowsPerPage: number
  /** What is larger is no manifest, whatever its name says. */
  readonly manifestBytesMax: number
}

type Known = RepositoryManifest & { readonly mediaType: string }

type Tell = (problem: ScrubProblem) => Promise<void>

export class ManifestScrub {
  readonly #parts: Parts
  readonly #bounds: Bounds

  constructor(parts: Parts, bounds: Bounds) {
    this.#parts = parts
    this.#bounds = bounds
  }

  /** @returns how many there are. */
  async run(
    { repair }: ScrubOptions,
    { signal, progress }: OperationMonitor,
    tell: Tell,
  ): Promise<number> {
    let done = 0
    let after: string | undefined
    do {
      const scan = { rows: this.#bounds.rowsPerPage, ...(after !== undefined && { after }) }
      const { found, next } = await this.#parts.metadata.scanManifests(scan)
      for (const manifest of found) {
        signal.throwIfAborted()
        await this.#look(manifest, repair, tell)
      }
      done += found.length
      progress({ step: 'manifests', done })
      after = next
    } while (after !== undefined)
    return done
  }

  async #look(manifest: Known, repair: boolean, tell: Tell): Promise<void> {
    const { repository, digest, mediaType } = manifest
    const { metadata, blobs } = this.#parts
    const stored = await blobs.statBlob(digest)
    const isWanted = stored !== undefined && stored.size <= this.#bounds.manifestBytesMax
    const bytes = isWanted ? await readWhole(blobs, stored).catch(ifUnavailable) : undefined
    // That was told of when the bytes were looked at.
    if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) !== digest) return
    const about = { digest, repositories: [repository], repaired: false } as const
    try {
      const entry = entryOf(parseManifest(bytes, mediaType), digest, bytes.length)
      await this.#compareReferences(manifest, entry, repair, tell)
      if (isProxiedName(repository)) return
      const missing = await metadata.findMissingContent(repository, entry)
      // It was deleted meanwhile.
      if (missing.length === 0 || !(await metadata.findManifest(repository, digest))) return
      const list = missing.slice(0, 10).join(', ')
      const message = `its repository has not what it needs: ${list}; push the image again`
      await tell({ problem: 'incomplete', message, ...about })
    } catch (error) {
      if (!(error instanceof OciError) || error.code !== 'MANIFEST_INVALID') throw error
      await tell({ problem: 'unreadable', message: error.message, ...about })
    }
  }

  /** Collection goes by what the database has: without a reference it would remove what is needed. */
  async #compareReferences(
    { repository, digest }: Known,
    entry: ManifestEntry,
    repair: boolean,
    tell: Tell,
  ): Promise<void> {
    const { metadata } = this.#parts
    const known = new Set(await metadata.listReferences(repository, digest))
    const wanted = new Set([...entry.blobs, ...entry.manifests, ...entry.optionalBlobs])
    if (known.symmetricDifference(wanted).size === 0) return
    // It was deleted meanwhile, or is being pushed.
    if (!(await metadata.findManifest(repository, digest))) return
    if (repair) await metadata.putManifest(repository, entry, [], { sparse: true })
    const message = 'the database does not have what the manifest refers to'
    const about = { digest, repositories: [repository] }
    await tell({ problem: 'references', message, ...about, repaired: repair })
  }
}

function ifUnavailable(error: unknown): undefined {
  if (!(error instanceof OciError) || error.code !== 'UNAVAILABLE') throw error
}
