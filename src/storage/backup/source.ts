/**
 * What is read of a backup: its files one after the other, a directory's or an archive's. What is none is
 * refused before anything was changed for it.
 */
import { createReadStream } from 'node:fs'
import { opendir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Readable } from 'node:stream'
import { extract, type Header } from 'tar-stream'
import { StartError } from '../../lib/start-error.ts'
import { isBackupName } from './names.ts'
import { readFileBytes } from './verified-copy.ts'

export interface SourceFile {
  /** `blobs/sha256/ab/ab...`, `metadata.db` */
  readonly name: string
  readonly size: number
  /** May be left unread, or read once, before the next file is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>
}

export async function* readDirectorySource(root: string): AsyncGenerator<SourceFile> {
  // One after the other: there may be millions of them.
  for await (const entry of await opendir(root, { recursive: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const { size } = await stat(path)
    yield { name: relative(root, path), size, chunks: readFileBytes(path) }
  }
}

/**
 * @param input the archive; a path is opened.
 * @throws StartError for what no backup has in it, and for what is no archive.
 */
export async function* readTarSource(input: Readable | string): AsyncGenerator<SourceFile> {
  const stream = typeof input === 'string' ? createReadStream(input) : input
  const archive = extract()
  stream.once('error', (error) => archive.destroy(error))
  stream.pipe(archive)
  try {
    for await (const entry of archive) {
      const { name, size } = entry.header
      // Archived by hand, names may begin with the directory.
      const file = {
        name: name.replace(/^\.\//, ''),
        size,
        chunks: entry as AsyncIterable<Uint8Array>,
      }
      if (isFile(entry.header)) yield file
      entry.resume()
    }
  } catch (error) {
    if (!(error instanceof Error) || error instanceof StartError || 'code' in error) throw error
    throw new StartError(`the archive cannot be read: ${error.message}`, { cause: error })
  }
}

/**
 * Reads as far as to the first file of a backup, and no further.
 * @throws StartError when there is none.
 */
export async function requireBackup(
  files: AsyncIterator<SourceFile>,
  signal: AbortSignal,
): Promise<SourceFile> {
  for (;;) {
    signal.throwIfAborted()
    const next = await files.next()
    if (next.done === true)
      throw new StartError('this is no backup: it holds no file of one; nothing was changed')
    if (isBackupName(next.value.name)) return next.value
  }
}

function isFile({ name, type }: Header): boolean {
  const isPlain = type === 'file' || type === 'directory'
  if (isPlain && !/^\/|(?:^|\/)\.\.(?:\/|$)/.test(name)) return type === 'file'
  const shown = JSON.stringify(name.slice(0, 200))
  throw new StartError(
    `the archive is no backup: ${shown} is ${isPlain ? 'outside of it' : `a ${type}`}`,
  )
}
