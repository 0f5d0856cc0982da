/**
 * Where verified bytes are kept, by digest.
 *
 * Durability: a promise of a write resolves only when what was written survives a power cut. A
 * driver that cannot write or read now throws OciError STORAGE_FULL or UNAVAILABLE.
 */
import { OciError } from '../../oci/errors.ts'
import type { Digest } from '../../oci/digest.ts'
import type { BlobRecord } from './records.ts'

/** Bytes `start` up to and including `endInclusive`; always inside the content. */
export interface ByteRange {
  readonly start: number
  readonly endInclusive: number
}

/** The disk reports an error for the bytes themselves: others may be read, and these at another time. */
export class UnreadableContent extends OciError {
  constructor(cause: OciError) {
    const { code, message, headers } = cause
    super(code, { message, headers, cause })
  }
}

/** Open content. It stays readable after the blob is deleted, until it is disposed of. */
export interface BlobReader extends AsyncDisposable {
  /** Bytes of the whole blob. */
  readonly size: number
  /**
   * Yields the bytes of `range`, or all of them, in order. A chunk is valid until the next one is
   * asked for: its buffer is used again.
   * @throws UnreadableContent, or OciError UNAVAILABLE when there are less of them than there were.
   */
  read(range?: ByteRange): AsyncIterable<Uint8Array>
}

/** A blob as it lies in the store, known to the database or not. */
export interface StoredBlob extends BlobRecord {
  /** Milliseconds since 1970. */
  readonly modifiedAt: number
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
  /**
   * All that is stored, in the order of the digests, in pages of a bounded size. Of what is put or
   * deleted meanwhile, it may hold the old or the new.
   * @param after begins behind this digest.
   */
  listBlobs(after?: Digest): AsyncIterable<readonly StoredBlob[]>
  /**
   * Puts bytes aside that are not those of their digest, for an operator to look at: nobody is served
   * them any more, and the blob can be stored again. Idempotent.
   */
  quarantineBlob(digest: Digest): Promise<void>
  /** Bytes that can still be written where blobs are. */
  freeBytes(): Promise<number>
  /** Writes, reads and removes a few bytes. @throws when the store cannot do that now. */
  check(): Promise<void>
}
