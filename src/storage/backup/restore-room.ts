/**
 * How much a restore may write. An archive says how large a file is before its bytes come, so what does not
 * fit is refused before any of it is written; a share of what was free stays free for the registry.
 */
import { statfs } from 'node:fs/promises'
import { StartError } from '../../lib/start-error.ts'
import type { SourceFile } from './source.ts'

export class RestoreRoom {
  readonly #directory: string
  readonly #sparedBytes: number

  private constructor(directory: string, sparedBytes: number) {
    this.#directory = directory
    this.#sparedBytes = sparedBytes
  }

  /** @param sparedShare of what is free now. */
  static async measure(directory: string, sparedShare: number): Promise<RestoreRoom> {
    return new RestoreRoom(directory, (await freeBytes(directory)) * sparedShare)
  }

  /** @throws StartError when there is no room for the file. */
  async require({ name, size }: SourceFile): Promise<void> {
    const room = Math.max(0, Math.floor((await freeBytes(this.#directory)) - this.#sparedBytes))
    if (size <= room) return
    throw new StartError(
      `${name} of the backup has ${size} bytes, and ${this.#directory} has room for ${room}: see to it that it ` +
        'is a backup that Trow made, and make room; run it again then, it goes on where it stopped',
    )
  }
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}
