/**
 * Where verified bytes are kept, by digest.
 *
 * Durability: a promise of a write resolves only when what was written survives a power cut. A
 * driver that cannot write or read now throws OciError STORAGE_FULL or UNAVAILABLE.
 */
import type { Digest } from '../../oci/digest.ts'
import type { BlobRecord } from './records.ts'

/** Bytes `start` up to and including `endInclusive`; always inside the content. */
export interface ByteRange {
  readonly start: number
  readonly endInclusive: number
}

/** Open content. It stays readable after the blob is deleted, until it is disposed of. */
export interface BlobReader extends AsyncDisposable {
  /** Bytes of the whole blob. */
  readonly size: number
  /**
   * Yields the bytes of `range`, or all of them, in order. A chunk is valid until the next one is
   * asked for: its buffer is used again.
   */
  read(range?: ByteRange): AsyncIterable<Uint8Array>
}

/** Verified content by digest. Nothing is in it whose digest was not checked first. */
export interface BlobStore {
  /** @returns undefined when there are no such bytes. */
  statBlob(digest: Digest): Promise<BlobRecord | undefined>
  /** @returns undefined when there are no such bytes. */
  openBlob(digest: Digest): Promise<BlobReader | undefined>
  /** Stores content whose digest the caller has verified. Idempotent. */
  putBlob(digest: Digest, bytes: Uint8Array): Promise<void>
  /** Idempotent. */
  deleteBlob(digest: Digest): Promise<void>
  /** Writes, reads and removes a few bytes. @throws when the store cannot do that now. */
  check(): Promise<void>
}
