// Stores that fail when they are told to: before, in the middle of or after an operation, the way a
// full or broken disk does. They wrap real stores, so what a failure leaves behind is real, too.

import type { Digest } from '../../src/oci/digest.ts'
import { OciError } from '../../src/oci/errors.ts'
import type {
  BlobReader,
  BlobStore,
  ByteRange,
  StoredBlob,
} from '../../src/registry/ports/blob-store.ts'
import type { BlobRecord } from '../../src/registry/ports/records.ts'
import type {
  AppendObserver,
  AppendResult,
  UploadId,
  UploadReader,
  UploadStore,
} from '../../src/registry/ports/upload-store.ts'

export interface Fault {
  /** ENOSPC is STORAGE_FULL to a client, EIO is UNAVAILABLE. */
  readonly code: 'ENOSPC' | 'EIO'
  /** `after`: the operation is done, and then reported as failed. */
  readonly moment: 'before' | 'midway' | 'after'
}

/** What a failure that was asked for is caused by. */
export class InjectedFault extends Error {
  constructor(fault: Fault) {
    super(`${fault.code}, injected ${fault.moment} an operation`)
  }
}

export interface FiredFault extends Fault {
  readonly operation: keyof BlobStore | keyof UploadStore
}

/** When the stores fail; shared by all that are to fail together. */
export class Faults {
  #fault: Fault | undefined
  #before = 0
  #times = 0
  /** Failures since the stores were last told to. */
  fired: FiredFault[] = []

  /** Of the operations from now on, the first `skip` succeed and the next `times` fail. */
  arm(fault: Fault, when: { skip?: number; times?: number } = {}): void {
    this.#fault = fault
    this.#before = when.skip ?? 0
    this.#times = when.times ?? 1
    this.fired = []
  }

  disarm(): void {
    this.#fault = undefined
    this.fired = []
  }

  /** Counts an operation. @returns how it is to fail. */
  next(operation: FiredFault['operation']): Fault | undefined {
    if (this.#fault === undefined) return undefined
    if (this.#before > 0) {
      this.#before -= 1
      return undefined
    }
    if (this.#times === 0) return undefined
    this.#times -= 1
    this.fired.push({ ...this.#fault, operation })
    return this.#fault
  }
}

/** As the ports ask: a driver that cannot write or read now says so to the client. */
export function errorOf(fault: Fault): OciError {
  const code = fault.code === 'ENOSPC' ? 'STORAGE_FULL' : 'UNAVAILABLE'
  return new OciError(code, { cause: new InjectedFault(fault) })
}

/** An operation of which there is no half. */
async function whole<T>(
  faults: Faults,
  operation: FiredFault['operation'],
  work: () => Promise<T>,
): Promise<T> {
  const fault = faults.next(operation)
  if (fault === undefined) return work()
  if (fault.moment === 'after') await work()
  throw errorOf(fault)
}

export class FaultyBlobStore implements BlobStore {
  readonly #blobs: BlobStore
  readonly #faults: Faults

  constructor(blobs: BlobStore, faults: Faults) {
    this.#blobs = blobs
    this.#faults = faults
  }

  statBlob(digest: Digest): Promise<BlobRecord | undefined> {
    return whole(this.#faults, 'statBlob', () => this.#blobs.statBlob(digest))
  }

  /** Opens before it fails in the middle: then reading is what breaks. */
  async openBlob(digest: Digest): Promise<BlobReader | undefined> {
    const fault = this.#faults.next('openBlob')
    if (fault === undefined) return this.#blobs.openBlob(digest)
    const reader = await this.#blobs.openBlob(digest)
    if (fault.moment === 'midway' && reader !== undefined) return new BrokenReader(reader, fault)
    await reader?.[Symbol.asyncDispose]()
    throw errorOf(fault)
  }

  putBlob(digest: Digest, bytes: Uint8Array): Promise<void> {
    return whole(this.#faults, 'putBlob', () => this.#blobs.putBlob(digest, bytes))
  }

  deleteBlob(digest: Digest): Promise<void> {
    return whole(this.#faults, 'deleteBlob', () => this.#blobs.deleteBlob(digest))
  }

  /** In the middle: after the first page. */
  async *listBlobs(after?: Digest): AsyncGenerator<readonly StoredBlob[]> {
    const fault = this.#faults.next('listBlobs')
    if (fault?.moment === 'before') throw errorOf(fault)
    for await (const page of this.#blobs.listBlobs(after)) {
      yield page
      if (fault?.moment === 'midway') break
    }
    if (fault !== undefined) throw errorOf(fault)
  }

  quarantineBlob(digest: Digest): Promise<void> {
    return whole(this.#faults, 'quarantineBlob', () => this.#blobs.quarantineBlob(digest))
  }

  freeBytes(): Promise<number> {
    return whole(this.#faults, 'freeBytes', () => this.#blobs.freeBytes())
  }

  check(): Promise<void> {
    return whole(this.#faults, 'check', () => this.#blobs.check())
  }
}

class BrokenReader implements BlobReader {
  readonly size: number
  readonly #reader: BlobReader
  readonly #fault: Fault

  constructor(reader: BlobReader, fault: Fault) {
    this.#reader = reader
    this.#fault = fault
    this.size = reader.size
  }

  async *read(range?: ByteRange): AsyncGenerator<Uint8Array> {
    yield* firstHalf(this.#reader.read(range))
    throw errorOf(this.#fault)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#reader[Symbol.asyncDispose]())
  }
}

export class FaultyUploadStore implements UploadStore {
  readonly #uploads: UploadStore
  readonly #faults: Faults

  constructor(uploads: UploadStore, faults: Faults) {
    this.#uploads = uploads
    this.#faults = faults
  }

  /** In the middle: half of the first bytes are staged already, where they must not count. */
  async appendToUpload(
    id: UploadId,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    observer: AppendObserver,
  ): Promise<AppendResult> {
    const fault = this.#faults.next('appendToUpload')
    if (fault?.moment === 'before') throw errorOf(fault)
    const source = fault?.moment === 'midway' ? firstHalf(chunks) : chunks
    const result = await this.#uploads.appendToUpload(id, offset, source, observer)
    if (fault !== undefined) throw errorOf(fault)
    return result
  }

  /** Opens before it fails in the middle: then reading is what breaks. */
  async openUpload(id: UploadId): Promise<UploadReader> {
    const fault = this.#faults.next('openUpload')
    if (fault === undefined) return this.#uploads.openUpload(id)
    if (fault.moment === 'before') throw errorOf(fault)
    const reader = await this.#uploads.openUpload(id)
    if (fault.moment === 'midway') return new BrokenUploadReader(reader, fault)
    await reader[Symbol.asyncDispose]()
    throw errorOf(fault)
  }

  commitUpload(id: UploadId, digest: Digest): Promise<void> {
    return whole(this.#faults, 'commitUpload', () => this.#uploads.commitUpload(id, digest))
  }

  deleteUpload(id: UploadId): Promise<void> {
    return whole(this.#faults, 'deleteUpload', () => this.#uploads.deleteUpload(id))
  }

  listUploads(): Promise<UploadId[]> {
    return whole(this.#faults, 'listUploads', () => this.#uploads.listUploads())
  }
}

class BrokenUploadReader implements UploadReader {
  readonly #reader: UploadReader
  readonly #fault: Fault

  constructor(reader: UploadReader, fault: Fault) {
    this.#reader = reader
    this.#fault = fault
  }

  async *read(range: ByteRange): AsyncGenerator<Uint8Array> {
    yield* firstHalf(this.#reader.read(range))
    throw errorOf(this.#fault)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#reader[Symbol.asyncDispose]())
  }
}

/** Of the first chunk. */
async function* firstHalf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk.subarray(0, Math.floor(chunk.length / 2))
    return
  }
}
