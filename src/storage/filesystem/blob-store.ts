/**
 * Blobs as files named by their digest. A file gets its name only after its bytes were verified and
 * synced, and is never changed after that.
 */
import { randomBytes } from 'node:crypto'
import { open, readFile, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { limits } from '../../config/limits.ts'
import type { Digest } from '../../oci/digest.ts'
import type {
  BlobReader,
  BlobStore,
  ByteRange,
  StoredBlob,
} from '../../registry/ports/blob-store.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import { renameDurably, syncDirectory, writeFileDurably } from '../../lib/durable.ts'
import type { DataLayout } from './layout.ts'
import { listStoredBlobs } from './list-blobs.ts'
import { OpenFiles, type ReadFile } from './open-files.ts'
import { readRange } from './read-range.ts'
import type { SharedReads } from './shared-reads.ts'
import { isMissing, translated } from './file-error.ts'

export class FilesystemBlobStore implements BlobStore {
  readonly #layout: DataLayout
  readonly #reads: SharedReads
  readonly #files = new OpenFiles()

  constructor(layout: DataLayout, reads: SharedReads) {
    this.#layout = layout
    this.#reads = reads
  }

  async statBlob(digest: Digest): Promise<BlobRecord | undefined> {
    try {
      const { size } = await stat(this.#layout.blob(digest))
      return { digest, size }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw translated(error)
    }
  }

  async openBlob(digest: Digest): Promise<BlobReader | undefined> {
    try {
      return new FileBlobReader(await this.#files.open(this.#layout.blob(digest)), this.#reads)
    } catch (error) {
      if (isMissing(error)) return undefined
      throw translated(error)
    }
  }

  async putBlob(digest: Digest, bytes: Uint8Array): Promise<void> {
    try {
      await writeFileDurably(this.#layout.blob(digest), bytes, { staging: this.#staging() })
    } catch (error) {
      throw translated(error)
    }
  }

  async deleteBlob(digest: Digest): Promise<void> {
    try {
      await rm(this.#layout.blob(digest), { force: true })
    } catch (error) {
      throw translated(error)
    }
  }

  listBlobs(after?: Digest): AsyncIterable<readonly StoredBlob[]> {
    return listStoredBlobs(this.#layout, { after, perPage: limits.blobsListedPerPage })
  }

  async quarantineBlob(digest: Digest): Promise<void> {
    const path = this.#layout.blob(digest)
    try {
      await renameDurably(path, this.#layout.quarantined(digest))
      await syncDirectory(dirname(path))
    } catch (error) {
      if (!isMissing(error) || (await this.statBlob(digest)) !== undefined) throw translated(error)
    }
  }

  async freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.#layout.blobs)
      return bavail * bsize
    } catch (error) {
      throw translated(error)
    }
  }

  async check(): Promise<void> {
    const path = this.#staging()
    try {
      await writeAndReadBack(path)
    } catch (error) {
      throw translated(error)
    } finally {
      await rm(path, { force: true }).catch(() => undefined)
    }
  }

  /** In the staging directory: what a crash leaves there is removed like a stale upload. */
  #staging(): string {
    return join(this.#layout.uploads, `write-${randomBytes(12).toString('hex')}`)
  }
}

async function writeAndReadBack(path: string): Promise<void> {
  const written = randomBytes(16)
  const file = await open(path, 'wx')
  try {
    await file.writeFile(written)
    await file.datasync()
  } finally {
    await file.close()
  }
  if (!written.equals(await readFile(path))) throw new Error('read back other bytes than written')
}

class FileBlobReader implements BlobReader {
  readonly #opened: ReadFile
  readonly #reads: SharedReads

  constructor(opened: ReadFile, reads: SharedReads) {
    this.#opened = opened
    this.#reads = reads
  }

  get size(): number {
    return this.#opened.size
  }

  read(range: ByteRange = { start: 0, endInclusive: this.size - 1 }): AsyncIterable<Uint8Array> {
    return readRange(this.#opened.file, range, this.#reads)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#opened[Symbol.dispose]()
  }
}
