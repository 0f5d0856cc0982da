/** The metadata database as it was at one moment, as far as copying content needs it. */
import type { Digest } from '../../oci/digest.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'

export interface Snapshots {
  /** Writes one to a file, without what only the running registry needs. */
  take(path: string): Promise<void>
  /** Whether it knows the content; to be disposed of. */
  openContent(path: string): Disposable & { has(digest: Digest): boolean }
  /** All content that it knows, in the order of the digests. */
  listContent(path: string): Iterable<BlobRecord>
  /** @returns what is wrong with the file. */
  findProblem(path: string): Promise<string | undefined>
}
