/** What is read of a backup: its files one after the other, a directory's or an archive's. */
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import { readFileBytes } from './verified-copy.ts'

export interface SourceFile {
  /** `blobs/sha256/ab/ab...`, `metadata.db` */
  readonly name: string
  readonly size: number
  /** May be left unread, or read once, before the next file is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>
}

export async function* readDirectorySource(root: string): AsyncGenerator<SourceFile> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const { size } = await stat(path)
    yield { name: relative(root, path), size, chunks: readFileBytes(path) }
  }
}

/** @param input the archive; a path is opened. */
export async function* readTarSource(input: Readable | string): AsyncGenerator<SourceFile> {
  const stream = typeof input === 'string' ? createReadStream(input) : input
  const archive = extract()
  stream.once('error', (error) => archive.destroy(error))
  stream.pipe(archive)
  for await (const entry of archive) {
    const { name, size, type } = entry.header
    if (type === 'file') yield { name, size, chunks: entry as AsyncIterable<Uint8Array> }
    entry.resume()
  }
}
