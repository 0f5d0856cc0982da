/**
 * Removing content that nobody has: its row first, its bytes after. What cannot be removed now,
 * because somebody is storing the same or the disk fails, is tried again at the next removal; a
 * crash in between leaves bytes that nothing refers to, which cost space and nothing else.
 */
import type { Digest } from '../oci/digest.ts'
import type { ContentLocks } from './content-locks.ts'
import type { BlobRecord, BlobStore, MetadataStore } from './ports.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly locks: ContentLocks
}

export class ContentRemoval {
  readonly #parts: Parts
  /** What is still to be removed, by digest: bytes. */
  readonly #waiting = new Map<Digest, number>()

  constructor(parts: Parts) {
    this.#parts = parts
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
    let removed = 0
    for (const [digest, size] of this.#waiting) {
      if (await this.#remove(digest)) removed += size
    }
    return removed
  }

  /** @returns whether bytes were removed. */
  async #remove(digest: Digest): Promise<boolean> {
    const { metadata, blobs, locks } = this.#parts
    let isNobodys = false
    const isDone = await locks.tryWhileRemoving(digest, async () => {
      isNobodys = await metadata.forgetContent(digest)
      if (isNobodys) await blobs.deleteBlob(digest)
    })
    if (isDone) this.#waiting.delete(digest)
    return isNobodys
  }
}
