/** Where a backup goes. */
import type { Digest } from '../../oci/digest.ts'

export interface BackupTarget extends AsyncDisposable {
  /** Whether it has the blob from an earlier backup, or an earlier try. */
  hasBlob(digest: Digest, size: number): Promise<boolean>
  /** @returns whether the bytes were those of the digest, and could be read. */
  putBlob(digest: Digest, size: number, chunks: AsyncIterable<Uint8Array>): Promise<boolean>
  /** @throws StartError when there is an earlier backup in which the file is another one. */
  requireSame(name: string, bytes: Uint8Array): Promise<void>
  putFile(name: string, bytes: Uint8Array, mode: number): Promise<void>
  /**
   * Makes the backup what it says, once all content is there.
   * @param isNeeded other content of earlier backups goes
   */
  finish(snapshot: string, isNeeded: (digest: Digest) => boolean): Promise<void>
}
