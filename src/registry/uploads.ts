/**
 * Upload sessions: bytes are staged, and become a blob when their digest is what the client said.
 * Invariants: a session's offset counts only bytes that are durably staged; one request at a time
 * writes to a session; nothing is visible before its digest was verified.
 */
import { randomUUID } from 'node:crypto'
import { type Digest, type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { ContentLocks } from './content-locks.ts'
import { hashStaged } from './hash-staged.ts'
import { loopHashing } from './loop-hashing.ts'
import type { Clock } from './ports/clock.ts'
import type { Hashing, RunningDigest } from './ports/hashing.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord, UploadRecord } from './ports/records.ts'
import type { UploadId, UploadStore } from './ports/upload-store.ts'
import type { RequestContext } from './request-context.ts'
import { UploadDigesters } from './upload-digesters.ts'
import { type Chunk, checkChunk, rangeInvalid } from './upload-session.ts'

interface Stores {
  readonly metadata: MetadataStore
  readonly uploads: UploadStore
  readonly locks: ContentLocks
  readonly clock: Clock
  /** On the event loop, where nothing else is said. */
  readonly hashing?: Hashing
}

export class Uploads {
  readonly #metadata: MetadataStore
  readonly #uploads: UploadStore
  readonly #locks: ContentLocks
  readonly #clock: Clock
  readonly #hashing: Hashing
  readonly #digesters: UploadDigesters
  /** Sessions that a request is writing to now. */
  readonly #writing = new Set<UploadId>()

  constructor(stores: Stores, settings: { digestersMax: number }) {
    this.#metadata = stores.metadata
    this.#uploads = stores.uploads
    this.#locks = stores.locks
    this.#clock = stores.clock
    this.#hashing = stores.hashing ?? loopHashing
    this.#digesters = new UploadDigesters(settings.digestersMax)
  }

  async startUpload(repository: RepositoryName, algorithm: DigestAlgorithm): Promise<UploadRecord> {
    const updatedAt = this.#clock.now()
    const upload = { id: newUploadId(), repository, algorithm, offset: 0, updatedAt }
    await this.#metadata.createUpload(upload)
    return upload
  }

  /** @throws OciError BLOB_UPLOAD_UNKNOWN */
  async getUpload(repository: RepositoryName, id: string): Promise<UploadRecord> {
    const upload = await this.#metadata.findUpload(repository, id as UploadId)
    if (upload !== undefined) return upload
    throw new OciError('BLOB_UPLOAD_UNKNOWN', {
      message: 'no such upload session: it was completed, cancelled or expired; start a new one',
    })
  }

  /**
   * Adds a chunk. When its body breaks off, what arrived is kept and counts.
   * @throws OciError RANGE_INVALID, SIZE_INVALID; whatever the body threw.
   */
  appendToUpload(repository: RepositoryName, id: string, chunk: Chunk): Promise<UploadRecord> {
    return this.#exclusively(repository, id, async (upload) => {
      checkChunk(upload, chunk)
      const digest = this.#digestFor(upload, chunk, upload.algorithm)
      const offset = await this.#append(upload, chunk, digest)
      return { ...upload, offset }
    })
  }

  /**
   * Takes the last chunk, which may be empty, and makes the session's bytes a blob.
   * @throws OciError DIGEST_INVALID, which ends the session; as `appendToUpload`, which do not.
   */
  completeUpload(
    context: RequestContext,
    repository: RepositoryName,
    id: string,
    completion: { digest: Digest; chunk: Chunk },
  ): Promise<BlobRecord> {
    const { digest, chunk } = completion
    return this.#exclusively(repository, id, async (upload) => {
      checkChunk(upload, chunk)
      const algorithm = digestAlgorithm(digest)
      const running = this.#digestFor(upload, chunk, algorithm)
      const size = await this.#append(upload, chunk, running, { last: true })
      using complete = this.#digesters.take(upload.id, size)
      const actual = await this.#digestOf(upload.id, size, algorithm, complete)
      if (actual !== digest) {
        await this.#discard(upload.id)
        throw digestMismatch(digest, actual, size)
      }
      await this.#locks.whileStoring(digest, async () => {
        await this.#uploads.commitUpload(upload.id, digest)
        await this.#metadata.putBlob(repository, { digest, size }, upload.id)
      })
      context.log.info({ repository, digest, size }, 'blob pushed')
      return { digest, size }
    })
  }

  /** A whole blob in one request: no session is made. @throws OciError DIGEST_INVALID */
  async pushBlob(
    context: RequestContext,
    repository: RepositoryName,
    digest: Digest,
    chunk: Chunk,
  ): Promise<BlobRecord> {
    const id = newUploadId()
    const algorithm = digestAlgorithm(digest)
    using running = this.#hashing.begin(algorithm, lengthOf(chunk))
    this.#writing.add(id)
    try {
      const { bytes } = chunk
      const { appended, error } = await this.#uploads.appendToUpload(id, 0, bytes, running.observer)
      if (error !== undefined) throw error
      const actual = await this.#digestOf(id, appended, algorithm, running)
      if (actual !== digest) throw digestMismatch(digest, actual, appended)
      await this.#locks.whileStoring(digest, async () => {
        await this.#uploads.commitUpload(id, digest)
        await this.#metadata.putBlob(repository, { digest, size: appended })
      })
      context.log.info({ repository, digest, size: appended }, 'blob pushed')
      return { digest, size: appended }
    } catch (error) {
      // What is told is why the push failed; what could not be removed goes at the next start.
      await this.#uploads.deleteUpload(id).catch((cause: unknown) => {
        context.log.warn({ upload: id, err: cause }, 'the bytes of a failed push were not removed')
      })
      throw error
    } finally {
      this.#writing.delete(id)
    }
  }

  /** @throws OciError BLOB_UPLOAD_UNKNOWN */
  async cancelUpload(repository: RepositoryName, id: string): Promise<void> {
    await this.#exclusively(repository, id, (upload) => this.#discard(upload.id))
  }

  /**
   * Removes sessions that nobody wrote to since `before`, at most `limit` of them.
   * @param before milliseconds since 1970.
   * @returns how many were removed.
   */
  async expireUploads(before: number, limit: number): Promise<number> {
    let removed = 0
    for (const { id, repository } of await this.#metadata.listIdleUploads(before, limit)) {
      if (this.#writing.has(id)) continue
      this.#writing.add(id)
      try {
        // Its client may have come back, or completed it, since the list was made.
        const upload = await this.#metadata.findUpload(repository, id)
        if (upload === undefined || upload.updatedAt >= before) continue
        await this.#discard(id)
        removed += 1
      } finally {
        this.#writing.delete(id)
      }
    }
    return removed
  }

  /** What a crash left in the staging area. Only to be called before the first request. */
  async removeLeftovers(): Promise<number> {
    const staged = await this.#uploads.listUploads()
    let removed = 0
    for (let start = 0; start < staged.length; start += leftoversPerQuery) {
      const ids = staged.slice(start, start + leftoversPerQuery)
      const known = await this.#metadata.knownUploads(ids)
      for (const id of ids.filter((id) => !known.has(id))) {
        await this.#uploads.deleteUpload(id)
        removed += 1
      }
    }
    return removed
  }

  async #exclusively<T>(
    repository: RepositoryName,
    id: string,
    work: (upload: UploadRecord) => Promise<T>,
  ): Promise<T> {
    const uploadId = id as UploadId
    if (this.#writing.has(uploadId)) {
      const upload = await this.getUpload(repository, id)
      throw rangeInvalid(upload, 'another request is writing to this upload session')
    }
    this.#writing.add(uploadId)
    try {
      return await work(await this.getUpload(repository, id))
    } finally {
      this.#writing.delete(uploadId)
    }
  }

  /** A fresh one for the first byte; undefined when bytes passed by that this process did not see. */
  #digestFor(
    upload: UploadRecord,
    chunk: Chunk,
    algorithm: DigestAlgorithm,
  ): RunningDigest | undefined {
    const running = this.#digesters.take(upload.id, upload.offset)
    if (running?.algorithm === algorithm && running.size > 0) return running
    running?.[Symbol.dispose]()
    return upload.offset === 0 ? this.#hashing.begin(algorithm, lengthOf(chunk)) : undefined
  }

  /** @returns the session's new offset. */
  async #append(
    upload: UploadRecord,
    chunk: Chunk,
    digest: RunningDigest | undefined,
    options: { last?: boolean } = {},
  ): Promise<number> {
    using unkept = new DisposableStack()
    if (digest !== undefined) unkept.use(digest)
    const { id, offset } = upload
    // All of it passed through this process, and is synced: there is nothing to add, nor to cut off.
    const isComplete = options.last === true && chunk.length === 0 && digest?.size === offset
    if (isComplete && offset > 0) {
      this.#digesters.put(id, digest, offset)
      unkept.move()
      return offset
    }
    const observer = digest?.observer ?? {}
    const { appended, error } = await this.#uploads.appendToUpload(
      id,
      offset,
      chunk.bytes,
      observer,
    )
    const refusal = refusalOf(chunk, appended, error)
    if (refusal !== undefined) {
      // What arrived before that is given back.
      await this.#cut(id, offset)
      throw refusal
    }
    const reached = offset + appended
    unkept.move()
    if (digest !== undefined) this.#digesters.put(id, digest, reached)
    // The last chunk's session is about to end: its offset need not be recorded.
    if (error !== undefined || options.last !== true) await this.#record(upload, reached)
    if (error !== undefined) throw error
    return reached
  }

  /** Bytes that could not be counted are given back: on a full disk everybody waits for them. */
  async #record(upload: UploadRecord, reached: number): Promise<void> {
    const { id, repository, offset } = upload
    try {
      await this.#metadata.setUploadOffset(id, reached)
    } catch (error) {
      const cut = async (): Promise<void> => {
        // What failed may have been done all the same.
        const known = await this.#metadata.findUpload(repository, id)
        if (known?.offset !== offset) return
        await this.#cut(id, offset)
      }
      await cut().catch(() => undefined)
      throw error
    }
  }

  async #cut(id: UploadId, offset: number): Promise<void> {
    await this.#uploads.appendToUpload(id, offset, nothing(), {})
  }

  /** From what is staged, where no digest was running, or what ran is not known any more. */
  async #digestOf(
    id: UploadId,
    size: number,
    algorithm: DigestAlgorithm,
    running: RunningDigest | undefined,
  ): Promise<Digest> {
    const isOfAll = running?.algorithm === algorithm && running.size === size
    const known = isOfAll ? await running.digest() : undefined
    return known ?? (await hashStaged(this.#uploads, id, size, algorithm))
  }

  /**
   * Row first: without it the bytes are nobody's and are removed at the latest at the next start. Only
   * a full disk may have no room for that; then the bytes make some.
   */
  async #discard(id: UploadId): Promise<void> {
    this.#digesters.drop(id)
    try {
      await this.#metadata.deleteUpload(id)
    } catch (error) {
      if (!(error instanceof OciError && error.code === 'STORAGE_FULL')) throw error
      await this.#uploads.deleteUpload(id)
      await this.#metadata.deleteUpload(id)
    }
    await this.#uploads.deleteUpload(id)
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

const leftoversPerQuery = 1_000

/** Random and of the specification's form ("a UUID representing a unique session ID"). */
function newUploadId(): UploadId {
  return randomUUID() as UploadId
}

/** What its headers promise. */
function lengthOf({ length, range }: Chunk): number | undefined {
  return length ?? (range && range.endInclusive - range.start + 1)
}

/** Of a chunk of which nothing counts: there is no room for it, or it is not what its headers promise. */
function refusalOf(chunk: Chunk, appended: number, error: Error | undefined): OciError | undefined {
  if (error instanceof OciError && error.code === 'STORAGE_FULL') return error
  if (chunk.range === undefined || error !== undefined) return undefined
  const expected = chunk.range.endInclusive - chunk.range.start + 1
  if (appended === expected) return undefined
  // A body without Content-Length may hold more or less than its Content-Range promised.
  return new OciError('SIZE_INVALID', {
    message: `Content-Range spans ${expected} bytes but the body has ${appended}`,
  })
}

function digestMismatch(expected: Digest, actual: Digest, size: number): OciError {
  return new OciError('DIGEST_INVALID', {
    message: 'provided digest did not match uploaded content',
    detail: { expected, actual, size },
  })
}
