/**
 * The files of a tar archive, read where they lie: headers are gone through once, nothing is unpacked,
 * and links are followed inside the archive only. Forms: POSIX ustar and pax, GNU's long names.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { posix } from 'node:path'
import { limits } from '../config/limits.ts'
import { MoveError } from './content-source.ts'
import { type FileTree, unreadable } from './file-tree.ts'
import { isEnd, parseHeader, parsePax, type TarHeader, textOf } from './tar-header.ts'

interface Place {
  readonly offset: number
  readonly size: number
}

/** What the headers before an entry say about it. */
interface Overrides {
  path?: string
  size?: number
  link?: string
}

const block = 512

export class TarTree implements FileTree {
  readonly #file: FileHandle
  readonly #places = new Map<string, Place | { readonly link: string }>()

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /** @throws MoveError when it is no archive, or one that a image was never kept in. */
  static async open(path: string): Promise<TarTree> {
    const tree = new TarTree(await open(path))
    try {
      await tree.#index()
      return tree
    } catch (error) {
      await tree[Symbol.asyncDispose]()
      throw error
    }
  }

  async sizeOf(path: string): Promise<number | undefined> {
    return this.#find(path)?.size
  }

  async *read(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const place = this.#find(path)
    if (place === undefined) throw new MoveError(`${path} is missing`)
    const end = place.offset + place.size
    for (let at = place.offset; at < end;) {
      const chunk = await this.#read(at, Math.min(limits.movedChunkBytes, end - at))
      if (chunk.length === 0) throw new MoveError(`the archive ends in the middle of ${path}`)
      at += chunk.length
      yield chunk
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }

  #find(path: string): Place | undefined {
    let name = posix.normalize(path)
    for (let links = 0; links <= limits.archiveLinksMax; links++) {
      const found = this.#places.get(name)
      if (found === undefined || !('link' in found)) return found
      name = found.link
    }
    return undefined
  }

  async #index(): Promise<void> {
    const { size: total } = await this.#file.stat()
    let next: Overrides = {}
    let at = 0
    while (at + block <= total) {
      const bytes = await this.#read(at, block)
      if (isEnd(bytes)) return
      const header = parseHeader(bytes, at)
      const size = next.size ?? header.size
      const place = { offset: at + block, size }
      if (place.offset + size > total) {
        throw new MoveError(`the archive is cut off: it ends in the middle of ${header.path}`)
      }
      next = await this.#add({ ...header, size }, place, next)
      at = place.offset + Math.ceil(size / block) * block
    }
  }

  /** @returns what it says about the entry that follows. */
  async #add(header: TarHeader, place: Place, before: Overrides): Promise<Overrides> {
    const { type } = header
    if (type === 'x' || type === 'L' || type === 'K') {
      return { ...before, ...(await this.#readOverrides(type, place)) }
    }
    const path = insidePath(before.path ?? header.path)
    const link = before.link ?? header.link
    if (type === '0' || type === '7') this.#places.set(path, place)
    if (type === '1') this.#places.set(path, { link: insidePath(link) })
    if (type === '2') this.#places.set(path, { link: targetOf(path, link) })
    if (this.#places.size > limits.archiveEntriesMax) {
      throw new MoveError(`the archive has more than ${limits.archiveEntriesMax} files`)
    }
    return {}
  }

  async #readOverrides(type: 'x' | 'L' | 'K', { offset, size }: Place): Promise<Overrides> {
    if (size > limits.archiveHeaderBytesMax) {
      throw new MoveError(`the archive has a header of ${size} bytes`)
    }
    const bytes = await this.#read(offset, size)
    if (type === 'L') return { path: textOf(bytes) }
    if (type === 'K') return { link: textOf(bytes) }
    return parsePax(bytes)
  }

  async #read(at: number, size: number): Promise<Buffer> {
    try {
      const { buffer, bytesRead } = await this.#file.read(Buffer.allocUnsafe(size), 0, size, at)
      return buffer.subarray(0, bytesRead)
    } catch (error) {
      throw unreadable('the archive', error)
    }
  }
}

/** A link may lead to what an archive of a whole system has, just not in place of an image's file. */
function targetOf(path: string, link: string): string {
  checkLength(link)
  return posix.isAbsolute(link) ? link : posix.join(posix.dirname(path), link)
}

function checkLength(path: string): void {
  if (path.length <= limits.archivePathLengthMax) return
  throw new MoveError(
    `the archive has a path of ${path.length} characters: ${JSON.stringify(path.slice(0, 200))}...`,
  )
}

/** @throws MoveError for what only somebody with bad intentions writes. */
function insidePath(path: string): string {
  checkLength(path)
  const normal = posix.normalize(path).replace(/\/$/, '')
  if (!normal.startsWith('/') && normal !== '..' && !normal.startsWith('../')) return normal
  const shown = JSON.stringify(path.slice(0, 200))
  throw new MoveError(`the archive has an entry ${shown}, which leads out of it: nothing was taken`)
}
