/**
 * A backup of a data directory whose registry may be running: a snapshot of the database, and all content
 * that it knows, each blob's digest verified. Content that was deleted since the snapshot was taken is
 * not needed by a later one, so a new one is taken; the last one is the backup.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../lib/start-error.ts'
import type { Digest } from '../../oci/digest.ts'
import type { OperationMonitor } from '../../registry/operation.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import { isMissing } from '../filesystem/file-error.ts'
import { sizeOf } from '../filesystem/file-size.ts'
import { refuseIncomplete } from '../filesystem/incomplete.ts'
import type { DataLayout } from '../filesystem/layout.ts'
import { backupForm, formatName, keyName, markName } from './names.ts'
import type { Snapshots } from './snapshot.ts'
import type { BackupTarget } from './target.ts'
import { readFileBytes, UnreadableFile } from './verified-copy.ts'

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
  readonly #damaged = new Set<Digest>()

  constructor(parts: Parts, settings: Settings, monitor: OperationMonitor) {
    this.#parts = parts
    this.#settings = settings
    this.#monitor = monitor
  }

  async run(): Promise<BackupReport> {
    const { layout, snapshots, target } = this.#parts
    const { uploads } = layout
    await refuseIncomplete(layout)
    if (!((await sizeOf(layout.database)) ?? 0)) {
      throw new StartError(
        `the metadata database ${layout.database} is missing or empty: see trow scrub --rebuild`,
      )
    }
    // There is room for it where the database is; what a crash leaves goes at Trow's next start.
    const snapshot = join(uploads, `write-${randomBytes(12).toString('hex')}`)
    try {
      await this.#putFiles()
      await this.#copyUntilComplete(snapshot)
      await this.#requireSound(snapshot)
      using content = snapshots.openContent(snapshot)
      await target.finish(snapshot, (digest) => content.has(digest))
      return this.#counts
    } finally {
      await rm(snapshot, { force: true })
    }
  }

  async #putFiles(): Promise<void> {
    const { layout, target } = this.#parts
    const key = await readFile(join(layout.root, keyName)).catch(ifMissing)
    // Every registry has a key of its own: an empty one must not replace the backup of a lost one.
    if (key !== undefined) await target.requireSame(keyName, key)
    const mark = { backup: backupForm, trow: this.#settings.version }
    await target.putFile(markName, Buffer.from(`${JSON.stringify(mark)}\n`), 0o644)
    await target.putFile(formatName, await readFile(layout.format), 0o644)
    if (key !== undefined) await target.putFile(keyName, key, 0o600)
  }

  /** A backup that cannot be restored must not take the place of one that can. */
  async #requireSound(snapshot: string): Promise<void> {
    const problem = await this.#parts.snapshots.findProblem(snapshot)
    if (problem === undefined) return
    throw new StartError(
      `the metadata database ${this.#parts.layout.database} is damaged: ${problem}; the backup before this ` +
        'one is as it was: see trow scrub',
    )
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
    for (const blob of all) {
      this.#monitor.signal.throwIfAborted()
      this.#counts.blobs += 1
      this.#counts.bytes += blob.size
      if (!this.#damaged.has(blob.digest) && !(await this.#copy(blob))) missing.push(blob)
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
    if (await target.hasBlob(digest, size)) return true
    try {
      if (found !== size || !(await target.putBlob(digest, size, readFileBytes(path)))) {
        await this.#tellDamaged(digest, 'its bytes are not those of its digest; see trow scrub')
        return true
      }
    } catch (error) {
      if (!(error instanceof UnreadableFile)) throw error
      if (isMissing(error.cause)) return false
      await this.#tellDamaged(digest, `it cannot be read: ${error.message}`)
      return true
    }
    this.#counts.copied += 1
    this.#counts.copiedBytes += size
    return true
  }

  async #tellDamaged(digest: Digest, message: string): Promise<void> {
    this.#damaged.add(digest)
    await this.#tell(digest, message)
  }

  async #tell(digest: Digest, message: string): Promise<void> {
    this.#counts.problems += 1
    await this.#monitor.tell({ digest, message })
  }
}

function ifMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}
