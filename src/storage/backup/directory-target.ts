/**
 * A backup in a directory. A later one into the same directory adds what is new and removes what is
 * needed no more; until its database has taken the place of the one before, that one is the backup.
 */
import { copyFile, mkdir, open, opendir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { renameDurably, writeFileDurably } from '../../lib/durable.ts'
import { StartError } from '../../lib/start-error.ts'
import type { Digest } from '../../oci/digest.ts'
import { isMissing } from '../filesystem/file-error.ts'
import { listVolumeNames } from '../filesystem/volume-names.ts'
import { blobName, databaseName, markName, parseBlobName } from './names.ts'
import type { BackupTarget } from './target.ts'
import { isIntact, writeVerified } from './verified-copy.ts'

export class DirectoryTarget implements BackupTarget {
  readonly #root: string
  readonly #verifies: boolean

  private constructor(root: string, verifies: boolean) {
    this.#root = root
    this.#verifies = verifies
  }

  /**
   * @param options.verifies reads what is there already, rather than to trust it for its size.
   * @throws StartError when the directory holds anything but a backup.
   */
  static async open(
    root: string,
    options: { readonly verifies: boolean },
  ): Promise<DirectoryTarget> {
    await mkdir(root, { recursive: true })
    const names = await listVolumeNames(root)
    if (names.length > 0 && !names.includes(markName)) {
      throw new StartError(
        `${root} is not empty and no backup (it holds no ${markName}): name another directory`,
      )
    }
    return new DirectoryTarget(root, options.verifies)
  }

  async hasBlob(digest: Digest, size: number): Promise<boolean> {
    const path = join(this.#root, blobName(digest))
    try {
      if ((await stat(path)).size !== size) return false
      return !this.#verifies || (await isIntact(path, digest))
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
  }

  putBlob(digest: Digest, _size: number, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
    return writeVerified(join(this.#root, blobName(digest)), digest, chunks)
  }

  async putFile(name: string, bytes: Uint8Array, mode: number): Promise<void> {
    const path = join(this.#root, name)
    const known = await readFile(path).catch(ifMissing)
    if (known?.equals(bytes)) return
    await writeFileDurably(path, bytes, { mode })
  }

  async requireSame(name: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#root, name)
    const known = await readFile(path).catch(ifMissing)
    if (known === undefined || known.equals(bytes)) return
    throw new StartError(
      `${this.#root} holds the backup of another registry, which this one would replace: name another ` +
        `directory; if it is the same one and got a new ${name}, remove ${path}`,
    )
  }

  async finish(snapshot: string, isNeeded: (digest: Digest) => boolean): Promise<void> {
    const next = join(this.#root, `${databaseName}.new`)
    await copyFile(snapshot, next)
    const file = await open(next, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    await renameDurably(next, join(this.#root, databaseName))
    await this.#prune(isNeeded)
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #prune(isNeeded: (digest: Digest) => boolean): Promise<void> {
    const entries = await opendir(join(this.#root, 'blobs'), { recursive: true }).catch(ifMissing)
    for await (const entry of entries ?? []) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const digest = parseBlobName(path.slice(this.#root.length + 1))
      if (digest === undefined || !isNeeded(digest)) await rm(path, { force: true })
    }
  }
}

function ifMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}
