/**
 * Manifests in memory, for the hottest path of a registry: the same few tags asked for by every
 * node. Every write to a repository drops what is cached of it, and a read that was under way
 * meanwhile does not put back what it saw before.
 */
import { LruCache } from '../lib/lru-cache.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { ManifestRecord } from './ports/records.ts'

export interface StoredManifest extends ManifestRecord {
  readonly bytes: Uint8Array
}

interface Entry {
  readonly repository: RepositoryName
  readonly reference: Reference
  readonly manifest: StoredManifest
}

export class ManifestCache {
  readonly #entries: LruCache<string, Entry>
  /** The references that are cached, by repository, so that a write finds them. */
  readonly #references = new Map<RepositoryName, Set<Reference>>()
  #writes = 0

  constructor(settings: { entriesMax: number; bytesMax: number }) {
    this.#entries = new LruCache({
      entriesMax: settings.entriesMax,
      weightMax: settings.bytesMax,
      weigh: (entry) => entry.manifest.bytes.length,
      onDrop: (entry) => this.#forget(entry),
    })
  }

  get(repository: RepositoryName, reference: Reference): StoredManifest | undefined {
    return this.#entries.get(key(repository, reference))?.manifest
  }

  /** Keeps what `read` answers, unless something was written while it read. */
  async load(
    repository: RepositoryName,
    reference: Reference,
    read: () => Promise<StoredManifest | undefined>,
  ): Promise<StoredManifest | undefined> {
    const cached = this.get(repository, reference)
    if (cached !== undefined) return cached
    const writes = this.#writes
    const manifest = await read()
    if (manifest !== undefined && writes === this.#writes) {
      this.#keep({ repository, reference, manifest })
    }
    return manifest
  }

  /** To be called after every write to the repository, before it is acknowledged. */
  invalidate(repository: RepositoryName): void {
    this.#writes += 1
    for (const reference of this.#references.get(repository) ?? []) {
      this.#entries.delete(key(repository, reference))
    }
  }

  #keep(entry: Entry): void {
    const name = key(entry.repository, entry.reference)
    // First, as an entry that it replaces is forgotten, and one that is too large is not kept.
    this.#entries.set(name, entry)
    if (this.#entries.get(name) !== entry) return
    const references = this.#references.get(entry.repository) ?? new Set()
    this.#references.set(entry.repository, references.add(entry.reference))
  }

  #forget(entry: Entry): void {
    const references = this.#references.get(entry.repository)
    references?.delete(entry.reference)
    if (references?.size === 0) this.#references.delete(entry.repository)
  }
}

/** No name and no reference holds a space. */
function key(repository: RepositoryName, reference: Reference): string {
  return `${repository} ${reference}`
}
