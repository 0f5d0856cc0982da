/** Tags: the specification's `<tag-or-digest>` as a tag (section "Pulling manifests"). */
import { OciError } from './errors.ts'

export type Tag = string & { readonly __tag: unique symbol }

export const tagLengthMax = 128

export function isTag(text: string): text is Tag {
  return /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/.test(text)
}

/** @throws OciError TAG_INVALID */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text
  throw new OciError('TAG_INVALID', {
    message:
      `invalid tag: expected at most ${tagLengthMax} letters, digits, ".", "_" and "-", ` +
      'not starting with "." or "-"',
    detail: { tag: text.slice(0, tagLengthMax) },
  })
}
