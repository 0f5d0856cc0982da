/**
 * A backup of a data directory whose registry may be running: a snapshot of the database, and all content
 * that it knows, each blob's digest verified. Content that was deleted since the snapshot was taken is
 * not needed by a later one, so a new one is taken; the last one is the backup.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Digest } from '../../oci/digest.ts'
import type { OperationMonitor } from '../../registry/operation.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import { isMissing } from '../filesystem/file-error.ts'
import type { DataLayout } from '../filesystem/layout.ts'
import { backupForm, formatName, keyName, markName } from './names.ts'
import type { Snapshots } from './snapshot.ts'
import type { BackupTarget } from './target.ts'
import { readFileBytes } from './verified-copy.ts'

interface Parts {
  readonly layout: DataLayout
  readonly snapshots: Snapshots
  readonly target: BackupTarget
}

interface Settings {
  readonly snapshotsMax: number
  readonly version: string
}

export interface BackupReport {
  readonly blobs: number
  readonly bytes: number
  /** Blobs that the target did not have yet. */
  readonly copied: number
  readonly copiedBytes: number
  /** Content that is damaged or lost, and not in the backup. */
  readonly problems: number
}

export class Backup {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #monitor: OperationMonitor
  readonly #counts = { blobs: 0, bytes: 0, copied: 0, copiedBytes: 0, problems: 0 }
  /** What is in the target, of this run. */
  readonly #done = new Set<Digest>()
  /** Of that, what the last snapshot knows. */
  readonly #needed = new Set<Digest>()

  constructor(parts: Parts, settings: Settings, monitor: OperationMonitor) {
    this.#parts = parts
    this.#settings = settings
    this.#monitor = monitor
  }

  async run(): Promise<BackupReport> {
    const { uploads } = this.#parts.layout
    // There is room for it where the database is; what a crash leaves goes at Trow's next start.
    const snapshot = join(uploads, `write-${randomBytes(12).toString('hex')}`)
    try {
      await this.#putFiles()
      await this.#copyUntilComplete(snapshot)
      await this.#parts.target.finish(snapshot, (digest) => this.#needed.has(digest))
      return this.#counts
    } finally {
      await rm(snapshot, { force: true })
    }
  }

  async #putFiles(): Promise<void> {
    const { layout, target } = this.#parts
    const mark = { backup: backupForm, trow: this.#settings.version }
    await target.putFile(markName, Buffer.from(`${JSON.stringify(mark)}\n`), 0o644)
    await target.putFile(formatName, await readFile(layout.format), 0o644)
    const key = await readFile(join(layout.root, keyName)).catch(() => undefined)
    if (key !== undefined) await target.putFile(keyName, key, 0o600)
  }

  async #copyUntilComplete(snapshot: string): Promise<void> {
    for (let round = 1; ; round += 1) {
      await rm(snapshot, { force: true })
      await this.#parts.snapshots.take(snapshot)
      const missing = await this.#copyAll(snapshot)
      if (missing.length === 0) break
      if (round < this.#settings.snapshotsMax) continue
      for (const { digest } of missing) await this.#tell(digest, 'its bytes are not there')
      break
    }
  }

  /** @returns what is not there any more, or never was. */
  async #copyAll(snapshot: string): Promise<BlobRecord[]> {
    const { snapshots } = this.#parts
    const all = snapshots.listContent(snapshot)
    const missing: BlobRecord[] = []
    Object.assign(this.#counts, { blobs: 0, bytes: 0 })
    this.#needed.clear()
    for (const blob of all) {
      this.#monitor.signal.throwIfAborted()
      this.#counts.blobs += 1
      this.#counts.bytes += blob.size
      if (!this.#done.has(blob.digest) && !(await this.#copy(blob))) missing.push(blob)
      if (this.#done.has(blob.digest)) this.#needed.add(blob.digest)
      this.#monitor.progress({ step: 'blobs', done: this.#counts.blobs })
    }
    return missing
  }

  /** @returns false where there are no such bytes. */
  async #copy({ digest, size }: BlobRecord): Promise<boolean> {
    const { layout, target } = this.#parts
    const path = layout.blob(digest)
    const found = await sizeOf(path)
    if (found === undefined) return false
    if (await target.hasBlob(digest, size)) {
      this.#done.add(digest)
      return true
    }
    if (found !== size || !(await target.putBlob(digest, size, readFileBytes(path)))) {
      await this.#tell(digest, 'its bytes are not those of its digest; see trow scrub')
      return true
    }
    this.#done.add(digest)
    this.#counts.copied += 1
    this.#counts.copiedBytes += size
    return true
  }

  async #tell(digest: Digest, message: string): Promise<void> {
    this.#counts.problems += 1
    await this.#monitor.tell({ digest, message })
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
