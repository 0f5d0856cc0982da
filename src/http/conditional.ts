/** Conditional requests (RFC 9110, section 13). Content is named by its digest, so that is its ETag. */
import type { Digest } from '../oci/digest.ts'

export function etagOf(digest: Digest): string {
  return `"${digest}"`
}

/** Whether the client has it already; weak comparison, as the RFC asks here. */
export function matchesIfNoneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((candidate) => candidate.trim().replace(/^W\//, '') === etag)
}

/** Whether a Range may be honoured; strong comparison, and a date never matches. */
export function matchesIfRange(header: string | undefined, etag: string): boolean {
  return header === undefined || header.trim() === etag
}
