/**
 * Tags that belong to a digest: cosign's `sha256-<hex>.sig`, `.att` and `.sbom`, and the plain one that
 * stands for the referrers API where there is none (specification, "Referrers Tag Schema").
 */
import { type Digest, isDigest } from './digest.ts'

/** @returns undefined for any other tag. */
export function digestOfTag(tag: string): Digest | undefined {
  const [, algorithm, hex] = /^(sha256|sha512)-([0-9a-f]+)(?:\.[a-z]+)?$/.exec(tag) ?? []
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) ? digest : undefined
}
