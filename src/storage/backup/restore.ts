/**
 * Makes a data directory of a backup. Every blob's digest is verified while it is written. Until all of it
 * is there nobody can use the directory; a restore that was interrupted goes on where it stopped.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileDurably } from '../../lib/durable.ts'
import { StartError } from '../../lib/start-error.ts'
import type { Digest } from '../../oci/digest.ts'
import type { OperationMonitor } from '../../registry/operation.ts'
import { sizeOf } from '../filesystem/file-size.ts'
import { markComplete } from '../filesystem/incomplete.ts'
import type { DataLayout } from '../filesystem/layout.ts'
import { backupForm, databaseName, formatName, keyName, markName, parseBlobName } from './names.ts'
import { RestoreRoom } from './restore-room.ts'
import { takeTarget } from './restore-target.ts'
import type { Snapshots } from './snapshot.ts'
import { requireBackup, type SourceFile } from './source.ts'
import { writeChunks, writeVerified } from './verified-copy.ts'

interface Parts {
  readonly layout: DataLayout
  readonly snapshots: Snapshots
  readonly files: AsyncIterable<SourceFile>
}

interface Settings {
  /** Of the files beside content and database. */
  readonly fileBytesMax: number
  /** Of what is free when it begins, what stays free. */
  readonly sparedShare: number
}

export interface RestoreReport {
  readonly blobs: number
  readonly bytes: number
  readonly problems: number
}

export class Restore {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #monitor: OperationMonitor
  readonly #counts = { blobs: 0, bytes: 0, problems: 0 }
  readonly #found = new Set<string>()

  constructor(parts: Parts, settings: Settings, monitor: OperationMonitor) {
    this.#parts = parts
    this.#settings = settings
    this.#monitor = monitor
  }

  /**
   * @throws StartError for a directory that is in use or holds something, for what is no backup, and for what
   *   there is no room for.
   */
  async run(): Promise<RestoreReport> {
    const files = this.#parts.files[Symbol.asyncIterator]()
    try {
      const first = await requireBackup(files, this.#monitor.signal)
      const { layout, snapshots } = this.#parts
      await using _lock = await takeTarget(layout, snapshots)
      await this.#restoreAll(first, files)
      await this.#check()
      await markComplete(layout)
      return this.#counts
    } finally {
      await files.return?.()
    }
  }

  async #restoreAll(first: SourceFile, rest: AsyncIterator<SourceFile>): Promise<void> {
    const { layout } = this.#parts
    for (const directory of layout.directories()) await mkdir(directory, { recursive: true })
    const room = await RestoreRoom.measure(layout.root, this.#settings.sparedShare)
    let next: IteratorResult<SourceFile> = { value: first }
    while (next.done !== true) {
      this.#monitor.signal.throwIfAborted()
      await this.#restore(next.value, room)
      this.#monitor.progress({ step: 'files', done: this.#found.size + this.#counts.blobs })
      next = await rest.next()
    }
  }

  async #restore(file: SourceFile, room: RestoreRoom): Promise<void> {
    const digest = parseBlobName(file.name)
    if (digest !== undefined) await this.#restoreBlob(digest, file, room)
    else if (file.name === databaseName) await this.#restoreDatabase(file, room)
    else if ([markName, formatName, keyName].includes(file.name)) await this.#restoreFile(file)
  }

  async #restoreBlob(digest: Digest, file: SourceFile, room: RestoreRoom): Promise<void> {
    const { size, chunks } = file
    const path = this.#parts.layout.blob(digest)
    if ((await sizeOf(path)) === size) return this.#count(size)
    await room.require(file)
    if (await writeVerified(path, digest, chunks)) this.#count(size)
    else await this.#tell(digest, 'its bytes in the backup are not those of its digest')
  }

  #count(size: number): void {
    this.#counts.blobs += 1
    this.#counts.bytes += size
  }

  async #restoreFile({ name, size, chunks }: SourceFile): Promise<void> {
    const bytes = await gather(name, size, chunks, this.#settings.fileBytesMax)
    if (name === markName) requireForm(bytes)
    else {
      const mode = name === keyName ? 0o600 : 0o644
      await writeFileDurably(join(this.#parts.layout.root, name), bytes, { mode })
    }
    this.#found.add(name)
  }

  async #restoreDatabase(file: SourceFile, room: RestoreRoom): Promise<void> {
    const { name, chunks } = file
    await room.require(file)
    const { database } = this.#parts.layout
    for (const suffix of ['-wal', '-shm']) await rm(`${database}${suffix}`, { force: true })
    await writeChunks(database, chunks)
    this.#found.add(name)
  }

  /** @throws StartError */
  async #check(): Promise<void> {
    const { layout, snapshots } = this.#parts
    const missing = [markName, formatName, databaseName].filter((name) => !this.#found.has(name))
    if (missing.length > 0) {
      throw new StartError(`this is no backup, or not all of one: it has no ${missing.join(', ')}`)
    }
    const problem = await snapshots.findProblem(layout.database)
    if (problem !== undefined)
      throw new StartError(`the database of the backup is damaged: ${problem}`)
    for (const { digest, size } of snapshots.listContent(layout.database)) {
      if ((await sizeOf(layout.blob(digest))) === size) continue
      await this.#tell(digest, 'the backup does not have it; push the image again')
    }
  }

  async #tell(digest: Digest, message: string): Promise<void> {
    this.#counts.problems += 1
    await this.#monitor.tell({ digest, message })
  }
}

function requireForm(bytes: Buffer): void {
  const form = /"backup":(\d+)/.exec(bytes.toString())?.[1]
  if (form === undefined) throw new StartError(`the ${markName} of the backup is damaged`)
  if (Number(form) <= backupForm) return
  throw new StartError('the backup was made by a newer version of Trow: restore it with that one')
}

async function gather(
  name: string,
  size: number,
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<Buffer> {
  if (size > bytesMax) throw new StartError(`${name} of the backup has ${size} bytes, too many`)
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Buffer.concat(parts)
}
