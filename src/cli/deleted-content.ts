/** What a Trow says that it deleted, or would delete. */
import { formatCount } from './format.ts'

/** Of an image lists, of a whole repository numbers. */
export interface Deleted {
  readonly tags: readonly string[] | number
  readonly manifests: readonly string[] | number
  readonly blobs?: number
}

export function describeDeleted(name: string, { tags, manifests, blobs }: Deleted): string {
  const counts = [
    formatCount(countOf(tags), 'tag'),
    formatCount(countOf(manifests), 'manifest'),
    ...(blobs === undefined ? [] : [formatCount(blobs, 'blob')]),
  ]
  const stays = countOf(manifests) === 0 && blobs === undefined
  const note = stays ? '; the image stays, as something else points at it' : ''
  return `${name}: ${counts.join(', ')}${note}`
}

function countOf(listed: readonly string[] | number): number {
  return typeof listed === 'number' ? listed : listed.length
}
