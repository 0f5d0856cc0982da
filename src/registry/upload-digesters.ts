/**
 * The running digests of upload sessions, one for each session whose bytes all passed through this
 * process. They are an optimisation: node:crypto cannot save a hash's state, so a session without
 * one (after a restart, or at another replica) is hashed again from its staged bytes.
 */
import type { Digester } from '../oci/digest.ts'
import { LruCache } from '../lib/lru-cache.ts'
import type { UploadId } from './ports/upload-store.ts'

interface Entry {
  readonly digester: Digester
  /** Bytes that went into it. */
  readonly offset: number
}

export class UploadDigesters {
  readonly #entries: LruCache<UploadId, Entry>

  constructor(entriesMax: number) {
    this.#entries = new LruCache({ entriesMax })
  }

  /** Takes it out: whoever feeds it puts it back, or drops it when the bytes did not last. */
  take(id: UploadId, offset: number): Digester | undefined {
    const entry = this.#entries.get(id)
    this.#entries.delete(id)
    return entry?.offset === offset ? entry.digester : undefined
  }

  put(id: UploadId, digester: Digester, offset: number): void {
    this.#entries.set(id, { digester, offset })
  }
}
