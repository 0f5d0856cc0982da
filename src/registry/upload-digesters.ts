/**
 * The running digests of upload sessions, one for each session whose bytes all passed through this
 * process. They are an optimisation: node:crypto cannot save a hash's state, so a session without
 * one (after a restart, or at another replica) is hashed again from its staged bytes.
 */
import { LruCache } from '../lib/lru-cache.ts'
import type { RunningDigest } from './ports/hashing.ts'
import type { UploadId } from './ports/upload-store.ts'

interface Entry {
  readonly digest: RunningDigest
  /** Bytes that went into it. */
  readonly offset: number
  isTaken: boolean
}

export class UploadDigesters {
  readonly #entries: LruCache<UploadId, Entry>

  constructor(entriesMax: number) {
    const onDrop = ({ digest, isTaken }: Entry): void => {
      if (!isTaken) digest[Symbol.dispose]()
    }
    this.#entries = new LruCache({ entriesMax, onDrop })
  }

  /** Takes it out: whoever feeds it puts it back, or disposes of it when the bytes did not last. */
  take(id: UploadId, offset: number): RunningDigest | undefined {
    const entry = this.#entries.get(id)
    if (entry !== undefined) entry.isTaken = entry.offset === offset
    this.#entries.delete(id)
    return entry?.isTaken === true ? entry.digest : undefined
  }

  /** One that was fed with other bytes than these is of no use. */
  put(id: UploadId, digest: RunningDigest, offset: number): void {
    if (digest.size !== offset) digest[Symbol.dispose]()
    else this.#entries.set(id, { digest, offset, isTaken: false })
  }

  drop(id: UploadId): void {
    this.#entries.delete(id)
  }
}
