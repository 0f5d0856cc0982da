/**
 * Uploads as files in the staging directory. Bytes are gathered into runs before they are written,
 * and the next run arrives while the one before is being written.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, rm } from 'node:fs/promises'
import type { Digest } from '../../oci/digest.ts'
import { OciError } from '../../oci/errors.ts'
import type {
  AppendObserver,
  AppendResult,
  ByteRange,
  UploadId,
  UploadReader,
  UploadStore,
} from '../../registry/ports.ts'
import { renameDurably, syncDirectory } from './durable.ts'
import { isMissing, translated } from './file-error.ts'
import type { DataLayout } from './layout.ts'
import { type ReadBuffers, readRange } from './read-buffers.ts'

export class FilesystemUploadStore implements UploadStore {
  readonly #layout: DataLayout
  readonly #buffers: ReadBuffers
  readonly #writeBytes: number

  constructor(layout: DataLayout, buffers: ReadBuffers, settings: { writeBytes: number }) {
    this.#layout = layout
    this.#buffers = buffers
    this.#writeBytes = settings.writeBytes
  }

  async appendToUpload(
    id: UploadId,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    observer: AppendObserver,
  ): Promise<AppendResult> {
    const file = await this.#openAt(id, offset)
    try {
      const { onBytes, onWritten } = observer
      const writer = new RunWriter(file, offset, { runBytes: this.#writeBytes, onWritten })
      const result = await drain(chunks, writer, onBytes)
      const appended = await writer.finish()
      // A file without bytes that a crash takes is made again by whoever appends at 0.
      if (appended > 0) await file.datasync()
      if (appended > 0 && offset === 0) await syncDirectory(this.#layout.uploads)
      return { appended, ...result }
    } catch (error) {
      // Gives the space back at once: on a full disk every other client waits for it.
      await file.truncate(offset).catch(() => undefined)
      throw translated(error)
    } finally {
      await file.close()
    }
  }

  /** Cut to `offset` bytes. @throws OciError BLOB_UPLOAD_UNKNOWN when fewer are staged. */
  async #openAt(id: UploadId, offset: number): Promise<FileHandle> {
    let file: FileHandle | undefined
    try {
      const create = offset === 0 ? constants.O_CREAT : 0
      file = await open(this.#layout.upload(id), constants.O_RDWR | create)
      const { size } = await file.stat()
      if (size < offset) throw bytesLost()
      if (size > offset) {
        await file.truncate(offset)
        // No bytes may follow that are synced.
        await file.datasync()
      }
      return file
    } catch (error) {
      await file?.close()
      throw offset > 0 && isMissing(error) ? bytesLost(error) : translated(error)
    }
  }

  async openUpload(id: UploadId): Promise<UploadReader> {
    try {
      return new FileUploadReader(await open(this.#layout.upload(id), 'r'), this.#buffers)
    } catch (error) {
      throw isMissing(error) ? bytesLost(error) : translated(error)
    }
  }

  async commitUpload(id: UploadId, digest: Digest): Promise<void> {
    try {
      await renameDurably(this.#layout.upload(id), this.#layout.blob(digest))
    } catch (error) {
      throw translated(error)
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
  readonly #file: FileHandle
  readonly #buffers: ReadBuffers

  constructor(file: FileHandle, buffers: ReadBuffers) {
    this.#file = file
    this.#buffers = buffers
  }

  read(range: ByteRange): AsyncIterable<Uint8Array> {
    return readRange(this.#file, range, this.#buffers)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
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
  onBytes: (bytes: Uint8Array) => void,
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
      onBytes(next.value)
      await writer.write(next.value)
    }
  } finally {
    if (!finished) await source.return?.()
  }
}

interface RunSettings {
  readonly runBytes: number
  readonly onWritten: AppendObserver['onWritten']
}

/**
 * Writes runs of `runBytes`, one behind the caller. With `onWritten` somebody waits for the bytes:
 * then a run is what came while the one before was being written, however little that is.
 */
class RunWriter {
  readonly #file: FileHandle
  readonly #start: number
  readonly #settings: RunSettings
  #position: number
  #run: Uint8Array[] = []
  #runLength = 0
  #writing: Promise<void> = Promise.resolve()
  /** Until it has ended well: after a failure nothing more is written. */
  #isWriting = false
  #hasFailed = false

  constructor(file: FileHandle, position: number, settings: RunSettings) {
    this.#file = file
    this.#start = position
    this.#position = position
    this.#settings = settings
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { runBytes, onWritten } = this.#settings
    this.#run.push(bytes)
    this.#runLength += bytes.length
    if (this.#runLength >= runBytes || this.#hasFailed) await this.#writing
    const isDue = this.#runLength >= runBytes || onWritten !== undefined
    if (isDue && !this.#isWriting) this.#startRun()
  }

  /** @returns the number of bytes written since the start. */
  async finish(): Promise<number> {
    await this.#writing
    while (this.#runLength > 0 || this.#isWriting) {
      if (!this.#isWriting) this.#startRun()
      await this.#writing
    }
    return this.#position - this.#start
  }

  #startRun(): void {
    if (this.#runLength === 0) return
    const { onWritten } = this.#settings
    const run = this.#run
    const position = this.#position
    const reached = position + this.#runLength
    this.#position = reached
    this.#run = []
    this.#runLength = 0
    this.#isWriting = true
    this.#writing = writeRun(this.#file, run, position).then(() => {
      onWritten?.(reached)
      this.#isWriting = false
      if (onWritten !== undefined) this.#startRun()
    })
    // It is awaited before the next run; until then its failure is not unhandled.
    this.#writing.catch(() => {
      this.#hasFailed = true
    })
  }
}

/** `writev` may write less than asked, on a disk that fills up for example. */
async function writeRun(file: FileHandle, run: Uint8Array[], position: number): Promise<void> {
  let rest = run
  let at = position
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at)
    if (bytesWritten === 0 && rest.some((chunk) => chunk.length > 0)) {
      throw new Error('the file system took none of the bytes and named no error')
    }
    at += bytesWritten
    rest = dropBytes(rest, bytesWritten)
  }
}

function dropBytes(chunks: Uint8Array[], count: number): Uint8Array[] {
  let left = count
  let index = 0
  for (const chunk of chunks) {
    if (left < chunk.length) break
    left -= chunk.length
    index += 1
  }
  const rest = chunks.slice(index)
  const first = rest[0]
  return first === undefined || left === 0 ? rest : [first.subarray(left), ...rest.slice(1)]
}
