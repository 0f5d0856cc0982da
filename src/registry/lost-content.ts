/** What a repository should have, and whose bytes are not there, or are others: told, counted, put aside. */
import type { ContentLocks } from './content-locks.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { KnownDamage } from './known-damage.ts'
import type { BlobStore } from './ports/blob-store.ts'
import type { BlobRecord } from './ports/records.ts'
import { putAsideIfWrong } from './put-aside.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly blobs: BlobStore
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
  readonly damage: KnownDamage
}

export interface LostContent {
  readonly repository: RepositoryName
  readonly kind: 'blob' | 'manifest'
  readonly record: BlobRecord
  /** Bytes that are there in its place; undefined for none. */
  readonly found: number | undefined
}

/** Never rejects: on a disk that cannot be written it is told all the same. */
export async function reportLost(parts: Parts, lost: LostContent, log: Log): Promise<void> {
  const { repository, kind, record, found } = lost
  const { digest, size } = record
  parts.damage.note('serving')
  const isAside = found !== undefined && (await putAsideIfWrong(parts, digest).catch(() => false))
  log.error(
    { repository, digest, expected: size, found: found ?? null, quarantined: isAside },
    `the bytes of a ${kind} are damaged: expected ${size} bytes, found ${describe(size, found)}; ` +
      healingOf(repository),
  )
}

function describe(expected: number, found: number | undefined): string {
  if (found === undefined) return 'nothing'
  return found === expected ? 'others' : `${found} bytes`
}

/** What makes damaged content whole again. */
export function healingOf(repository: RepositoryName): string {
  return isProxiedName(repository)
    ? 'it is fetched again when it is pulled'
    : 'push the image again to repair it'
}
