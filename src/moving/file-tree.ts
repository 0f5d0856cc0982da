/**
 * Files by their path inside a directory or an archive. Nothing outside of it can be named, by links
 * neither, and only plain files are read.
 */
import { open, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { limits } from '../config/limits.ts'
import { MoveError } from './content-source.ts'

export interface FileTree extends AsyncDisposable {
  /** @returns undefined when there is no such file. */
  sizeOf(path: string): Promise<number | undefined>
  /** Opens it when the first chunk is asked for. @throws MoveError when it is not there. */
  read(path: string): AsyncIterable<Uint8Array>
}

/** A whole small file. @throws MoveError when it is not there or larger than `bytesMax`. */
export async function readSmall(tree: FileTree, path: string, bytesMax: number): Promise<Buffer> {
  const size = await tree.sizeOf(path)
  if (size === undefined) throw new MoveError(`${path} is missing`)
  if (size > bytesMax) throw new MoveError(`${path} has ${size} bytes, more than ${bytesMax}`)
  return Buffer.concat(await Array.fromAsync(tree.read(path)))
}

/** @throws MoveError when it is not there, larger than `bytesMax` or no JSON. */
export async function readSmallJson(
  tree: FileTree,
  path: string,
  bytesMax: number,
): Promise<unknown> {
  const bytes = await readSmall(tree, path, bytesMax)
  try {
    return JSON.parse(bytes.toString())
  } catch {
    throw new MoveError(`${path} is no JSON`)
  }
}

export class DirectoryTree implements FileTree {
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async sizeOf(path: string): Promise<number | undefined> {
    return (await this.#find(path))?.size
  }

  async *read(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const found = await this.#find(path)
    if (found === undefined) throw new MoveError(`${path} is missing`)
    try {
      await using file = await open(found.path)
      const options = { autoClose: false, highWaterMark: limits.movedChunkBytes }
      yield* file.createReadStream(options) as AsyncIterable<Uint8Array>
    } catch (error) {
      throw unreadable(path, error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** A pipe would be waited for without end, so only a plain file counts. */
  async #find(path: string): Promise<{ path: string; size: number } | undefined> {
    try {
      const [root, real] = await Promise.all([
        realpath(this.#root),
        realpath(join(this.#root, path)),
      ])
      if (!real.startsWith(`${root}${sep}`)) throw leadsOut(path, this.#root)
      const found = await stat(real)
      return found.isFile() ? { path: real, size: found.size } : undefined
    } catch (error) {
      if (isAbsence(error)) return undefined
      throw unreadable(path, error)
    }
  }
}

/** What it leads to is not the source's to give. */
function leadsOut(path: string, root: string): MoveError {
  const shown = JSON.stringify(path.slice(0, 200))
  return new MoveError(
    `${shown} leads out of ${root}: it is not read. If that is as it should be, import a copy made ` +
      'with cp -rL',
  )
}

function isAbsence(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR'].includes(String(error.code))
  )
}

/** A disk that fails on one file may give the others. */
export function unreadable(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error
  return new MoveError(`${path} cannot be read: ${error.message}`)
}
