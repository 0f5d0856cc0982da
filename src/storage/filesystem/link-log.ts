/**
 * Links as lines of one file that only grows: a JSON document and its checksum each, so that a line that
 * was cut short or damaged is not taken for another one. A few lines that are told at once cost one
 * sync; a file for each link would cost two syncs and two names each.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { crc32 } from 'node:zlib'
import { syncDirectory } from '../../lib/durable.ts'
import { isDigest } from '../../oci/digest.ts'
import type { Reference } from '../../oci/reference.ts'
import { isRepositoryName } from '../../oci/repository-name.ts'
import type { Link, LinkEntry, LinkStore } from '../../registry/ports/link-store.ts'
import { translated } from './file-error.ts'

const emptyToAppend = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND

export class LinkLog implements LinkStore, AsyncDisposable {
  readonly #path: string
  #file: FileHandle
  /** Of lines that are known to be there. */
  #bytes: number
  /** There may be the beginning of a line after them. */
  #isTorn = false
  /** The file may not have its name yet after a power cut. */
  #isNamed = true
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, file: FileHandle, bytes: number) {
    this.#path = path
    this.#file = file
    this.#bytes = bytes
  }

  /** Makes it where there is none. */
  static async open(path: string): Promise<LinkLog> {
    try {
      const file = await open(path, 'a+', 0o666)
      await syncDirectory(dirname(path))
      const { size } = await file.stat()
      const log = new LinkLog(path, file, size)
      // A crash may have cut the last line short.
      log.#isTorn = size > 0 && (await readBytes(file, size - 1, 1)).toString() !== '\n'
      return log
    } catch (error) {
      throw translated(error)
    }
  }

  get bytes(): number {
    return this.#bytes
  }

  append(entries: readonly LinkEntry[]): Promise<void> {
    return this.#alone(() => this.#write(entries.map(formatLine).join('')))
  }

  async replace(links: AsyncIterable<readonly Link[]>): Promise<void> {
    const path = `${this.#path}.new`
    const from = this.#bytes
    try {
      const next = await open(path, emptyToAppend, 0o666)
      try {
        for await (const page of links) await next.appendFile(page.map(formatLine).join(''))
        await next.datasync()
        await this.#alone(() => this.#takeOver(next, path, from))
      } finally {
        // The one that is not the file now.
        if (this.#file !== next) await next.close()
      }
    } catch (error) {
      await rm(path, { force: true }).catch(() => undefined)
      throw translated(error)
    }
  }

  async *read(): AsyncGenerator<LinkEntry | { readonly damaged: string }> {
    try {
      await using file = await open(this.#path, 'r')
      const lines = createInterface({ input: file.createReadStream({ encoding: 'utf8' }) })
      for await (const line of lines) if (line !== '') yield parseLine(line)
    } catch (error) {
      throw translated(error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing.catch(() => undefined)
    await this.#file.close()
  }

  /** What is appended while `replace` gathers goes behind it; nothing is appended during this. */
  async #takeOver(next: FileHandle, path: string, from: number): Promise<void> {
    await next.appendFile(await readBytes(this.#file, from, this.#bytes - from))
    await next.datasync()
    const { size } = await next.stat()
    await rename(path, this.#path)
    // From now on a line in the old one would be lost, whatever fails after this.
    const old = this.#file
    this.#file = next
    this.#bytes = size
    this.#isTorn = false
    this.#isNamed = false
    await old.close()
    await this.#keepName()
  }

  async #keepName(): Promise<void> {
    if (this.#isNamed) return
    await syncDirectory(dirname(this.#path))
    this.#isNamed = true
  }

  #alone(work: () => Promise<void>): Promise<void> {
    const result = this.#writing.then(work)
    this.#writing = result.catch(() => undefined)
    return result
  }

  /** Half a line would spoil the next one: it is taken back, or ended. */
  async #write(lines: string): Promise<void> {
    try {
      await this.#keepName()
      if (this.#isTorn) this.#bytes = (await this.#file.stat()).size
      const text = this.#isTorn ? `\n${lines}` : lines
      await this.#file.appendFile(text)
      await this.#file.datasync()
      this.#bytes += Buffer.byteLength(text)
      this.#isTorn = false
    } catch (error) {
      await this.#file.truncate(this.#bytes).catch(() => (this.#isTorn = true))
      throw translated(error)
    }
  }
}

async function readBytes(file: FileHandle, start: number, count: number): Promise<Buffer> {
  const bytes = Buffer.alloc(count)
  for (let done = 0; done < count;) {
    const { bytesRead } = await file.read(bytes, done, count - done, start + done)
    if (bytesRead === 0) throw new Error(`links.log ends at byte ${start + done}`)
    done += bytesRead
  }
  return bytes
}

/** Repository, reference, and digest and media type of what it links to: null for nothing. */
type Fields = readonly [string, string, string | null, string | null]

function formatLine(entry: LinkEntry): string {
  const linked = entry.digest !== undefined
  const fields: Fields = [
    entry.repository,
    entry.reference,
    linked ? entry.digest : null,
    linked ? entry.mediaType : null,
  ]
  const text = JSON.stringify(fields)
  return `${text} ${checksum(text)}\n`
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}

function parseLine(line: string): LinkEntry | { readonly damaged: string } {
  const damaged = { damaged: line.slice(0, 200) }
  const end = line.lastIndexOf(' ')
  const text = line.slice(0, end)
  if (checksum(text) !== line.slice(end + 1)) return damaged
  const [repository, name, digest, mediaType] = JSON.parse(text) as Fields
  if (!isRepositoryName(repository)) return damaged
  const reference = name as Reference
  if (digest === null) return { repository, reference }
  if (!isDigest(digest) || mediaType === null) return damaged
  return { repository, reference, digest, mediaType }
}
