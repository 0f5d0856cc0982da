/**
 * Files that are open for reading, once for all who read them at the same time: to open one takes a turn
 * of another thread, unless it was open a moment ago. A file is looked at again for each reader, so that one
 * that was removed, replaced or written to meanwhile is opened as it is now.
 */
import { type Stats, statSync } from 'node:fs'
import { limits } from '../../config/limits.ts'
import { LruCache } from '../../lib/lru-cache.ts'
import { OpenFile } from '../../lib/open-file.ts'
import type { SharedFile } from './shared-reads.ts'

const latelyMs = 60_000

type Known = Pick<Stats, 'ino' | 'ctimeMs' | 'size'>

class KnownFile implements SharedFile {
  readonly handle: OpenFile
  readonly identity: string
  readonly known: Known
  users = 1

  constructor(path: string, handle: OpenFile, known: Known) {
    this.handle = handle
    this.known = known
    this.identity = `${path} ${known.ino} ${known.ctimeMs} ${known.size}`
  }
}

/** What one reader has of it. */
export interface ReadFile extends Disposable {
  readonly file: SharedFile
  /** Bytes. */
  readonly size: number
}

export class OpenFiles {
  readonly #files = new Map<string, KnownFile>()
  /** When each was opened last, in milliseconds since the start. */
  readonly #opened = new LruCache<string, number>({ entriesMax: limits.filesOpenedLatelyMax })

  /** @throws the error of the system. */
  async open(path: string): Promise<ReadFile> {
    const shared = this.#files.get(path)
    if (shared !== undefined && isStill(path, shared.known)) {
      shared.users += 1
      return this.#view(path, shared)
    }
    using unkept = new DisposableStack()
    const isAtHand = this.#wasOpenLately(path)
    const handle = unkept.use(isAtHand ? OpenFile.openNow(path) : await OpenFile.open(path, 'r'))
    const file = new KnownFile(path, handle, handle.stats)
    unkept.move()
    this.#files.set(path, file)
    return this.#view(path, file)
  }

  /** The system finds it in memory then, and another thread would take longer. */
  #wasOpenLately(path: string): boolean {
    const now = performance.now()
    const last = this.#opened.get(path) ?? Number.NEGATIVE_INFINITY
    this.#opened.set(path, now)
    return now - last < latelyMs
  }

  #view(path: string, file: KnownFile): ReadFile {
    return {
      file,
      size: file.known.size,
      [Symbol.dispose]: () => {
        file.users -= 1
        if (file.users > 0) return
        // Another one may have taken its place.
        if (this.#files.get(path) === file) this.#files.delete(path)
        file.handle[Symbol.dispose]()
      },
    }
  }
}

/** Nothing is waited for: of a file that is open, and of its directories, the system knows all that. */
function isStill(path: string, known: Known): boolean {
  const now = statSync(path, { throwIfNoEntry: false })
  return now?.ino === known.ino && now.ctimeMs === known.ctimeMs && now.size === known.size
}
