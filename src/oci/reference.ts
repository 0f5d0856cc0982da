/** References: what a manifest is asked for by, a tag or a digest. */
import { type Digest, isDigest, parseDigest } from './digest.ts'
import { parseTag, type Tag } from './tag.ts'

export type Reference = Tag | Digest

/** A tag cannot hold a colon and a digest must, so one look tells them apart. */
export function isDigestReference(reference: Reference): reference is Digest {
  return isDigest(reference)
}

/** @throws OciError DIGEST_INVALID or TAG_INVALID */
export function parseReference(text: string): Reference {
  return text.includes(':') ? parseDigest(text) : parseTag(text)
}
