/**
 * The Range header of a download (RFC 9110, section 14): one or several byte ranges, from the start
 * or from the end. Everything that is not well-formed is ignored, as the RFC asks, not refused.
 */
import type { ByteRange } from '../registry/ports/blob-store.ts'

export type RangeRequest =
  | { readonly kind: 'all' }
  | { readonly kind: 'unsatisfiable' }
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }

const all: RangeRequest = { kind: 'all' }

/**
 * @param header the Range header.
 * @param size of the content, in bytes.
 * @param rangesMax more ranges than this, or ranges that together exceed the content (a way to make
 *   a server send much for little), are answered with the whole content.
 */
export function parseRange(
  header: string | undefined,
  size: number,
  rangesMax: number,
): RangeRequest {
  const specs = /^bytes\s*=\s*(.*)$/i.exec(header ?? '')?.[1]?.split(',')
  if (specs === undefined || specs.length > rangesMax) return all
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const parsed = parseSpec(spec.trim(), size)
    if (parsed === 'malformed') return all
    if (parsed !== 'outside') ranges.push(parsed)
  }
  if (ranges.length === 0) return { kind: 'unsatisfiable' }
  const asked = ranges.reduce((sum, range) => sum + range.endInclusive - range.start + 1, 0)
  return ranges.length > 1 && asked > size ? all : { kind: 'ranges', ranges }
}

function parseSpec(spec: string, size: number): ByteRange | 'malformed' | 'outside' {
  const match = /^(\d*)-(\d*)$/.exec(spec)
  const first = match?.[1]
  const last = match?.[2]
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'malformed'
  if (first === '') {
    const suffix = Math.min(Number(last), size)
    return suffix === 0 ? 'outside' : { start: size - suffix, endInclusive: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return start >= size || end < start ? 'outside' : { start, endInclusive: end }
}

/** `Content-Range` of a chunk upload: `<start>-<end>`, both inclusive; `bytes ` before it is taken. */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =]\s*)?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim())
  if (match === null) return undefined
  const start = Number(match[1])
  const endInclusive = Number(match[2])
  return endInclusive < start ? undefined : { start, endInclusive }
}
