/**
 * Uploads as files in the staging directory. Bytes are gathered into runs before they are written,
 * and the next run arrives while the one before is being written.
 */
import { constants } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import type { Digest } from '../../oci/digest.ts'
import { OciError } from '../../oci/errors.ts'
import type { ByteRange } from '../../registry/ports/blob-store.ts'
import type {
  AppendObserver,
  AppendResult,
  UploadId,
  UploadReader,
  UploadStore,
} from '../../registry/ports/upload-store.ts'
import { renameDurably } from '../../lib/durable.ts'
import { OpenFile } from '../../lib/open-file.ts'
import { EarlySyncs } from './early-sync.ts'
import { isMissing, translated } from './file-error.ts'
import type { DataLayout } from './layout.ts'
import { readRange } from './read-range.ts'
import type { SharedReads } from './shared-reads.ts'
import { type GatheredRuns, RunWriter } from './run-writer.ts'

export class FilesystemUploadStore implements UploadStore {
  readonly #layout: DataLayout
  readonly #reads: SharedReads
  /** Counted, as an upload may hold other bytes when it is opened again. */
  #opened = 0
  readonly #writeBytes: number
  readonly #gathered: GatheredRuns
  readonly #syncs: EarlySyncs

  constructor(
    layout: DataLayout,
    reads: SharedReads,
    settings: {
      readonly writeBytes: number
      readonly gatheredBytesMax?: number
      readonly syncBytes?: number
      readonly syncsAtOnce?: number
    },
  ) {
    this.#layout = layout
    this.#reads = reads
    this.#writeBytes = settings.writeBytes
    const { syncBytes = Infinity, syncsAtOnce = 1 } = settings
    this.#syncs = new EarlySyncs({ syncBytes, syncsAtOnce })
    this.#gathered = { bytes: 0, writers: 0, bytesMax: settings.gatheredBytesMax ?? Infinity }
  }

  async appendToUpload(
    id: UploadId,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    observer: AppendObserver,
  ): Promise<AppendResult> {
    using file = await this.#openAt(id, offset)
    const sync = this.#syncs.of(file)
    const settings = {
      runBytes: this.#writeBytes,
      onWritten: observer.onWritten,
      onStored: observer.onStored,
      onRun: (bytes: number) => sync.wrote(bytes),
      gathered: this.#gathered,
    }
    const writer = new RunWriter(file, offset, settings)
    this.#gathered.writers += 1
    try {
      const result = await drain(chunks, writer, observer.onBytes)
      const appended = await writer.finish()
      await sync.finish()
      // With the bytes of a new file its name is in the journal (docs/decisions/0027-fewer-waits.md). A file
      // without bytes that a crash takes is made again by whoever appends at 0.
      if (appended > 0) await file.datasync()
      return { appended, ...result }
    } catch (error) {
      // Gives the space back at once: on a full disk every other client waits for it.
      await writer.abandon()
      await sync.finish().catch(() => undefined)
      await file.truncate(offset).catch(() => undefined)
      throw translated(error)
    } finally {
      this.#gathered.writers -= 1
    }
  }

  /** Cut to `offset` bytes. @throws OciError BLOB_UPLOAD_UNKNOWN when fewer are staged. */
  async #openAt(id: UploadId, offset: number): Promise<OpenFile> {
    const create = offset === 0 ? constants.O_CREAT : 0
    try {
      using unkept = new DisposableStack()
      const opening = OpenFile.open(this.#layout.upload(id), constants.O_RDWR | create)
      const file = unkept.use(await opening)
      if (file.stats.size < offset) throw bytesLost()
      if (file.stats.size > offset) {
        await file.truncate(offset)
        // No bytes may follow that are synced.
        await file.datasync()
      }
      unkept.move()
      return file
    } catch (error) {
      throw offset > 0 && isMissing(error) ? bytesLost(error) : translated(error)
    }
  }

  async openUpload(id: UploadId): Promise<UploadReader> {
    try {
      const file = await OpenFile.open(this.#layout.upload(id), 'r')
      this.#opened += 1
      return new FileUploadReader(file, `${id} ${this.#opened}`, this.#reads)
    } catch (error) {
      throw isMissing(error) ? bytesLost(error) : translated(error)
    }
  }

  async commitUpload(id: UploadId, digest: Digest): Promise<void> {
    try {
      await renameDurably(this.#layout.upload(id), this.#layout.blob(digest))
    } catch (error) {
      // Or it is the blob's directory that is missing.
      const isLost =
        isMissing(error) && (await stat(this.#layout.upload(id)).catch(isMissing)) === true
      throw isLost ? bytesLost(error) : translated(error)
    }
  }

  async deleteUpload(id: UploadId): Promise<void> {
    try {
      await rm(this.#layout.upload(id), { force: true })
    } catch (error) {
      throw translated(error)
    }
  }

  async listUploads(): Promise<UploadId[]> {
    return (await readdir(this.#layout.uploads)) as UploadId[]
  }
}

class FileUploadReader implements UploadReader {
  readonly #file: OpenFile
  readonly #identity: string
  readonly #reads: SharedReads

  constructor(file: OpenFile, identity: string, reads: SharedReads) {
    this.#file = file
    this.#identity = identity
    this.#reads = reads
  }

  read(range: ByteRange): AsyncIterable<Uint8Array> {
    return readRange({ handle: this.#file, identity: this.#identity }, range, this.#reads)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#file[Symbol.dispose]()
  }
}

/** After a crash between the commit of an upload and its record, or when a file was removed by hand. */
function bytesLost(cause?: unknown): OciError {
  return new OciError('BLOB_UPLOAD_UNKNOWN', {
    message: 'the bytes of this upload session are gone; start a new one',
    cause,
  })
}

/** Feeds the writer; what the source throws is a result, what the writer throws is thrown. */
async function drain(
  chunks: AsyncIterable<Uint8Array>,
  writer: RunWriter,
  onBytes: AppendObserver['onBytes'],
): Promise<{ error?: Error }> {
  const source = chunks[Symbol.asyncIterator]()
  let finished = false
  try {
    for (;;) {
      let next: IteratorResult<Uint8Array>
      try {
        next = await source.next()
      } catch (error) {
        finished = true
        return {
          error: error instanceof Error ? error : new Error('the source failed', { cause: error }),
        }
      }
      if (next.done === true) {
        finished = true
        return {}
      }
      onBytes?.(next.value)
      await writer.write(next.value)
    }
  } finally {
    if (!finished) await source.return?.()
  }
}
