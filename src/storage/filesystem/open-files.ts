/**
 * Files that are open for reading, once for all who read them at the same time: to open and close one takes
 * two turns of another thread. A file is looked at again for each reader, so that one that was removed, replaced
 * or written to meanwhile is opened as it is now.
 */
import { fstatSync, type Stats, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { SharedFile } from './shared-reads.ts'

type Known = Pick<Stats, 'ino' | 'ctimeMs' | 'size'>

class OpenFile implements SharedFile {
  readonly handle: FileHandle
  readonly identity: string
  readonly known: Known
  users = 1

  constructor(path: string, handle: FileHandle, known: Known) {
    this.handle = handle
    this.known = known
    this.identity = `${path} ${known.ino} ${known.ctimeMs} ${known.size}`
  }
}

/** What one reader has of it. */
export interface ReadFile extends AsyncDisposable {
  readonly file: SharedFile
  /** Bytes. */
  readonly size: number
}

export class OpenFiles {
  readonly #files = new Map<string, OpenFile>()

  /** @throws the error of the system. */
  async open(path: string): Promise<ReadFile> {
    const shared = this.#files.get(path)
    if (shared !== undefined && isStill(path, shared.known)) {
      shared.users += 1
      return this.#view(path, shared)
    }
    const handle = await open(path, 'r')
    try {
      // Of an open file this waits for no disk, and another thread would cost more than it takes.
      const file = new OpenFile(path, handle, fstatSync(handle.fd))
      this.#files.set(path, file)
      return this.#view(path, file)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  #view(path: string, file: OpenFile): ReadFile {
    return {
      file,
      size: file.known.size,
      [Symbol.asyncDispose]: async () => {
        file.users -= 1
        if (file.users > 0) return
        // Another one may have taken its place.
        if (this.#files.get(path) === file) this.#files.delete(path)
        await file.handle.close()
      },
    }
  }
}

/** Nothing is waited for: of a file that is open, and of its directories, the system knows all that. */
function isStill(path: string, known: Known): boolean {
  const now = statSync(path, { throwIfNoEntry: false })
  return now?.ino === known.ino && now.ctimeMs === known.ctimeMs && now.size === known.size
}
