/** Content descriptors (image specification, descriptor.md), as much of them as a registry needs. */
import { type Digest, isDigest } from './digest.ts'
import { OciError } from './errors.ts'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly platform?: Platform
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * @param path where in the manifest the descriptor stands, for the error: `layers[3]`.
 * @throws OciError MANIFEST_INVALID
 */
export function parseDescriptor(value: unknown, path: string): Descriptor {
  const invalid = (problem: string): OciError =>
    new OciError('MANIFEST_INVALID', { message: `manifest invalid: ${path} ${problem}` })
  if (!isRecord(value)) throw invalid('is not a descriptor object')
  const { mediaType, digest, size } = value
  if (typeof mediaType !== 'string' || mediaType === '') throw invalid('has no mediaType')
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw invalid('has no valid sha256 or sha512 digest')
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid('has no valid size')
  }
  const platform = parsePlatform(value['platform'])
  return { mediaType, digest, size, ...(platform && { platform }) }
}

/** A platform that makes no sense is no reason to refuse a manifest: it is only shown to people. */
function parsePlatform(value: unknown): Platform | undefined {
  if (!isRecord(value)) return undefined
  const { os, architecture, variant } = value
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  return { os, architecture, ...(typeof variant === 'string' && { variant }) }
}
