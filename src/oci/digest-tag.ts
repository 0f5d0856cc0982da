/**
 * Tags that belong to a digest: `sha256-<hex>`, which stands for the referrers API where there is none
 * (specification, "Referrers Tag Schema"), and with a suffix what cosign keeps: `.sig`, `.att`, `.sbom`.
 */
import { type Digest, digestAlgorithm, digestAlgorithms, digestHex, isDigest } from './digest.ts'
import { parseTag, type Tag } from './tag.ts'

/** The tag whose index lists what refers to a manifest. */
export function referrersTag(digest: Digest): Tag {
  return parseTag(`${digestAlgorithm(digest).slice(0, 32)}-${digestHex(digest).slice(0, 64)}`)
}

/** @returns undefined for a tag that belongs to no digest. */
export function subjectOfTag(tag: Tag): Digest | undefined {
  const [, algorithm = '', hex = ''] = /^(\w+)-([0-9a-f]+)(?:\..*)?$/.exec(tag) ?? []
  const text = `${algorithm}:${hex}`
  return digestAlgorithms.some((known) => known === algorithm) && isDigest(text) ? text : undefined
}
