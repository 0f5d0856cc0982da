/**
 * Keeps bytes from being removed while somebody stores the same ones. Between the question whether
 * anybody has some content and the removal of its bytes another push could be acknowledged, and its
 * content would be gone. So whoever stores content holds a lock on its digest until the database
 * knows of it, together with others who store it; whoever removes it holds the lock alone. In this
 * process only: one process owns a data directory.
 */
import type { Digest } from '../oci/digest.ts'

export class ContentLocks {
  /** How many are storing the content now. */
  readonly #storing = new Map<Digest, number>()
  readonly #removals = new Map<Digest, Promise<void>>()

  /** Runs what puts bytes and then says so in the database. Waits for the end of a removal. */
  async whileStoring<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    for (;;) {
      const removal = this.#removals.get(digest)
      if (removal === undefined) break
      await removal
    }
    this.#storing.set(digest, (this.#storing.get(digest) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = (this.#storing.get(digest) ?? 0) - 1
      if (left > 0) this.#storing.set(digest, left)
      else this.#storing.delete(digest)
    }
  }

  /**
   * Runs what forgets content and then removes its bytes, for those digests that nobody is storing
   * or removing. It waits for nobody: the others are left out.
   */
  async whileRemoving<T>(
    digests: readonly Digest[],
    work: (free: readonly Digest[]) => Promise<T>,
  ): Promise<T> {
    const free = digests.filter(
      (digest) => !this.#storing.has(digest) && !this.#removals.has(digest),
    )
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    for (const digest of free) this.#removals.set(digest, ended)
    try {
      return await work(free)
    } finally {
      for (const digest of free) this.#removals.delete(digest)
      end()
    }
  }
}
