/**
 * Large answers that are held in memory until their clients have read them. Manifests have up to 4 MiB,
 * and clients that ask for many and read none would keep them all; those from the cache are held once,
 * however many read them.
 */

/** Smaller answers are not counted: the bound on connections is theirs. */
const largeBytesMin = 64 * 1024

const nothingHeld: Disposable = { [Symbol.dispose]: () => undefined }

export class HeldReplies {
  readonly #bytesMax: number
  readonly #readers = new Map<object, number>()
  #bytes = 0

  constructor(settings: { bytesMax: number }) {
    this.#bytesMax = settings.bytesMax
  }

  /** @returns what to dispose of when it was sent; undefined when there is no room for it. */
  hold(body: string | Uint8Array): Disposable | undefined {
    const bytes = Buffer.byteLength(body)
    if (bytes < largeBytesMin) return nothingHeld
    const key = typeof body === 'string' ? {} : body
    const readers = this.#readers.get(key) ?? 0
    if (readers === 0) {
      if (this.#bytes + bytes > this.#bytesMax) return undefined
      this.#bytes += bytes
    }
    this.#readers.set(key, readers + 1)
    return { [Symbol.dispose]: () => this.#release(key, bytes) }
  }

  #release(key: object, bytes: number): void {
    const readers = (this.#readers.get(key) ?? 1) - 1
    if (readers > 0) {
      this.#readers.set(key, readers)
      return
    }
    this.#readers.delete(key)
    this.#bytes -= bytes
  }
}
