/**
 * Bytes that arrive in pieces, kept in one buffer that grows. A client may send them one by one, and
 * pieces that were kept as they came would take hundreds of times the memory of their bytes.
 */

const bytesAtFirst = 4 * 1024

export class GatheredBytes {
  #buffer = Buffer.alloc(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  add(piece: Uint8Array): void {
    const length = this.#length + piece.length
    if (length > this.#buffer.length) this.#grow(length)
    this.#buffer.set(piece, this.#length)
    this.#length = length
  }

  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  #grow(lengthMin: number): void {
    const grown = Buffer.allocUnsafe(Math.max(lengthMin, this.#buffer.length * 2, bytesAtFirst))
    grown.set(this.bytes())
    this.#buffer = grown
  }
}
