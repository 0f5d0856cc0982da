/** One page of an upstream's tags, whatever the upstream thinks of pages itself. */
import { limits } from '../config/limits.ts'
import type { Tag } from '../oci/tag.ts'
import type { PageRequest } from '../registry/ports/metadata-store.ts'
import type { UpstreamRepository } from '../registry/ports/upstream.ts'
import type { RegistryClient } from './client.ts'

/** At most `limit` tags in the upstream's order, from the one that follows `after`. */
export async function readTagPage(
  client: RegistryClient,
  { repository }: UpstreamRepository,
  { after, limit }: PageRequest,
  signal: AbortSignal,
): Promise<Tag[]> {
  const entries = Math.min(Math.max(1, limit), limits.upstreamPageEntries)
  const from = { entries, ...(after !== undefined && { last: after }) }
  const tags: Tag[] = []
  let mayBeginEarlier: boolean | undefined
  for await (const tag of client.listTags(repository, signal, from)) {
    // An upstream that ignores `last` begins with its first tag again; those are read past.
    mayBeginEarlier ??= after !== undefined && tag <= after
    if (tag === after) {
      tags.length = 0
      mayBeginEarlier = false
    } else if (tags.length < limit) {
      tags.push(tag)
    }
    if (tags.length >= limit && !mayBeginEarlier) break
  }
  return tags
}
