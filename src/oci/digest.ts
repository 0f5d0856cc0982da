/**
 * Digests: `<algorithm>:<hex>` as in the OCI image specification (descriptor.md, "Digests"), of the
 * two algorithms it registers. A `Digest` is only ever made by `parseDigest` or from a hash of ours,
 * so its text is safe to use in a file name.
 */
import { createHash, type Hash } from 'node:crypto'
import { OciError } from './errors.ts'

export type Digest = string & { readonly __digest: unique symbol }

const hexLengths = { sha256: 64, sha512: 128 } as const
export type DigestAlgorithm = keyof typeof hexLengths
export const digestAlgorithms = Object.keys(hexLengths) as DigestAlgorithm[]

export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return digestAlgorithms.includes(text as DigestAlgorithm)
}

/** @throws OciError DIGEST_INVALID for an algorithm that this registry does not compute. */
export function parseDigestAlgorithm(text: string): DigestAlgorithm {
  if (isDigestAlgorithm(text)) return text
  throw new OciError('DIGEST_INVALID', {
    message: `digest algorithm "${text.slice(0, 32)}" is not supported; use sha256 or sha512`,
  })
}

export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(':')
  if (colon === -1) return false
  const algorithm = text.slice(0, colon)
  if (!isDigestAlgorithm(algorithm)) return false
  const hex = text.slice(colon + 1)
  return hex.length === hexLengths[algorithm] && /^[0-9a-f]+$/.test(hex)
}

/** @throws OciError DIGEST_INVALID for anything but a complete, lower-case sha256 or sha512. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new OciError('DIGEST_INVALID', {
    message:
      'invalid digest: expected sha256:<64 lower-case hex characters> ' +
      'or sha512:<128 lower-case hex characters>',
    detail: { digest: text.slice(0, 200) },
  })
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** A digest being computed while bytes arrive. */
export class Digester {
  readonly algorithm: DigestAlgorithm
  readonly #hash: Hash
  #size = 0

  constructor(algorithm: DigestAlgorithm) {
    this.algorithm = algorithm
    this.#hash = createHash(algorithm)
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#size += bytes.length
  }

  /** May be called once, after the last byte. */
  digest(): Digest {
    return `${this.algorithm}:${this.#hash.digest('hex')}` as Digest
  }
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  const digester = new Digester(algorithm)
  digester.update(bytes)
  return digester.digest()
}
