/**
 * Removing content that nobody has: its row first, its bytes after. What cannot be removed now,
 * because somebody is storing the same or the disk fails, is tried again at the next removal; what a
 * crash leaves behind in between, the database remembers.
 */
import type { Digest } from '../oci/digest.ts'
import type { ContentLocks } from './content-locks.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly locks: ContentLocks
}

export class ContentRemoval {
  readonly #parts: Parts
  readonly #atOnceMax: number
  /** What is still to be removed, by digest: bytes. */
  readonly #waiting = new Map<Digest, number>()
  #totals = { blobs: 0, bytes: 0 }

  constructor(parts: Parts, settings: { atOnceMax: number }) {
    this.#parts = parts
    this.#atOnceMax = settings.atOnceMax
  }

  /** Since the start. */
  get totals(): { readonly blobs: number; readonly bytes: number } {
    return this.#totals
  }

  /** Bytes of what could not be removed yet. */
  get waitingBytes(): number {
    return [...this.#waiting.values()].reduce((total, size) => total + size, 0)
  }

  /**
   * Removes content, as far as nobody has it, and what is left of earlier removals.
   * @returns the bytes that were removed.
   * @throws when the database or the disk fails; then the rest waits for the next removal.
   */
  async removeContent(contents: readonly BlobRecord[]): Promise<number> {
    for (const { digest, size } of contents) this.#waiting.set(digest, size)
    const digests = [...this.#waiting.keys()]
    let removed = 0
    try {
      for (let start = 0; start < digests.length; start += this.#atOnceMax) {
        const batch = digests.slice(start, start + this.#atOnceMax)
        removed += await this.#parts.locks.whileRemoving(batch, (free) => this.#remove(free))
      }
    } finally {
      const ended = digests.filter((digest) => !this.#waiting.has(digest))
      if (ended.length > 0) await this.#parts.metadata.endRemovals(ended)
    }
    return removed
  }

  /** Removes what the last run of the program did not come to, at most `limit` of it at a time. */
  async resume(limit: number): Promise<void> {
    const left = await this.#parts.metadata.listRemovals(limit)
    await this.removeContent(left.filter(({ digest }) => !this.#waiting.has(digest)))
  }

  async #remove(digests: readonly Digest[]): Promise<number> {
    const { metadata, blobs } = this.#parts
    const nobodys = new Set(await metadata.forgetContent(digests))
    for (const digest of digests) if (!nobodys.has(digest)) this.#waiting.delete(digest)
    let removed = 0
    const deletions = [...nobodys].map(async (digest) => {
      await blobs.deleteBlob(digest)
      const size = this.#waiting.get(digest) ?? 0
      removed += size
      this.#totals = { blobs: this.#totals.blobs + 1, bytes: this.#totals.bytes + size }
      this.#waiting.delete(digest)
    })
    const failed = (await Promise.allSettled(deletions)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    return removed
  }
}
