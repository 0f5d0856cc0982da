/**
 * Files by their path inside a directory or an archive. Nothing outside of it can be named, and only
 * plain files are read.
 */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
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
    try {
      const found = await stat(join(this.#root, path))
      return found.isFile() ? found.size : undefined
    } catch (error) {
      if (isAbsence(error)) return undefined
      throw unreadable(path, error)
    }
  }

  async *read(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    // A pipe would be waited for without end.
    if ((await this.sizeOf(path)) === undefined) throw new MoveError(`${path} is missing`)
    try {
      await using file = await open(join(this.#root, path))
      const options = { autoClose: false, highWaterMark: limits.movedChunkBytes }
      yield* file.createReadStream(options) as AsyncIterable<Uint8Array>
    } catch (error) {
      throw unreadable(path, error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
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
