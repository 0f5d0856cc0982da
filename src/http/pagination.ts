/**
 * `n`, `last` and `Link` of the listings (specification, "Listing Tags"): pages are bounded, `n=0` is
 * an empty page, and a `last` that does not exist still tells where to go on.
 */
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'
import type { PageRequest } from '../registry/ports/metadata-store.ts'

/** @throws OciError PAGINATION_NUMBER_INVALID */
export function parsePage(
  query: URLSearchParams,
  bounds: { entriesDefault: number; entriesMax: number } = {
    entriesDefault: limits.pageEntriesDefault,
    entriesMax: limits.pageEntriesMax,
  },
): PageRequest {
  const after = query.get('last')
  return { limit: parseNumber(query.get('n'), bounds), ...(after !== null && { after }) }
}

function parseNumber(
  text: string | null,
  bounds: { entriesDefault: number; entriesMax: number },
): number {
  if (text === null || text === '') return bounds.entriesDefault
  if (!/^\d{1,15}$/.test(text)) {
    throw new OciError('PAGINATION_NUMBER_INVALID', {
      message: 'the query parameter n must be a whole number, 0 or more',
      detail: { n: text.slice(0, 100) },
    })
  }
  return Math.min(Number(text), bounds.entriesMax)
}

/**
 * The Link header to the next page: relative, so it works behind any ingress.
 * @param kept query parameters other than `n` and `last` that the next page needs too.
 */
export function linkToNext(
  path: string,
  page: { limit: number; next: string },
  kept: Readonly<Record<string, string | undefined>> = {},
): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(kept)) {
    if (value !== undefined) query.set(name, value)
  }
  query.set('n', String(page.limit))
  query.set('last', page.next)
  return `<${path}?${query.toString()}>; rel="next"`
}
