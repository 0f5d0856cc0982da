/** Digests that are computed on the event loop, while the bytes are being written. */
import { type Digest, type DigestAlgorithm, Digester } from '../oci/digest.ts'
import type { Hashing, RunningDigest } from './ports/hashing.ts'

export const loopHashing: Hashing = {
  begin: (algorithm) => new LoopDigest(algorithm),
}

export class LoopDigest implements RunningDigest {
  readonly algorithm: DigestAlgorithm
  readonly observer = { onBytes: (bytes: Uint8Array): void => this.#digester.update(bytes) }
  readonly #digester: Digester

  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm
    this.#digester = new Digester(algorithm)
  }

  get size(): number {
    return this.#digester.size
  }

  async digest(): Promise<Digest> {
    return this.#digester.digest()
  }

  [Symbol.dispose](): void {}
}
