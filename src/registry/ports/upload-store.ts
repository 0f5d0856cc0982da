/** Where bytes are staged while they arrive, durable by the same rules as the blob store. */
import type { Digest } from '../../oci/digest.ts'
import type { ByteRange } from './blob-store.ts'

export type UploadId = string & { readonly __uploadId: unique symbol }

/** Where an upload's bytes are staged until their digest is known. */
export interface UploadStore {
  /**
   * Cuts what is staged to `offset` bytes, then appends `chunks` to it, durably. Ends when `chunks`
   * ends or throws; what had arrived until then is kept either way. At offset 0 it begins an upload.
   * A chunk is given away: its memory may be freed once it is written.
   * @throws when the bytes cannot be stored; then only the first `offset` bytes count.
   */
  appendToUpload(
    id: UploadId,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    observer: AppendObserver,
  ): Promise<AppendResult>
  /** Opens what is staged, for reading while more is appended and after it was committed. */
  openUpload(id: UploadId): Promise<UploadReader>
  /** Makes the staged bytes the content of `digest`, which the caller has verified. */
  commitUpload(id: UploadId, digest: Digest): Promise<void>
  /** Idempotent. */
  deleteUpload(id: UploadId): Promise<void>
  /** All that is staged, sessions that nobody knows any more included. */
  listUploads(): Promise<UploadId[]>
}

export interface AppendObserver {
  /** Called with all bytes in order, before they are written. */
  readonly onBytes?: (bytes: Uint8Array) => void
  /**
   * Called with all bytes in order, once they are written, and before `onWritten`: they are given away, and may
   * be detached. What is left of them is freed when the promise resolves, and no more is written before.
   */
  readonly onStored?: (run: readonly Uint8Array[]) => Promise<void> | void
  /**
   * Called with the number of bytes that can be read, from the start of the upload, whenever there
   * are more. Whoever asks for it wants each byte soon: bytes are then written as they come, and only
   * those that come meanwhile are gathered.
   */
  readonly onWritten?: (offset: number) => void
}

/** Open staged bytes. They stay readable after the upload is committed or deleted. */
export interface UploadReader extends AsyncDisposable {
  /** All of `range` must be staged; a chunk is valid until the next one is asked for. */
  read(range: ByteRange): AsyncIterable<Uint8Array>
}

export interface AppendResult {
  /** Bytes that were appended and are durable. */
  readonly appended: number
  /** What the source of the bytes threw. */
  readonly error?: Error
}
