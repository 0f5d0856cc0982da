/**
 * Reads the files a configuration is made of, bounded in size, and remembers what each one looked
 * like before it was read: whoever watches the files compares with that, so a change in the middle
 * of loading is never missed.
 */
import { type FileHandle, open, stat } from 'node:fs/promises'
import type { BigIntStats } from 'node:fs'

/** How each file looked by path; of a file that could not be read, why. */
export type Fingerprints = ReadonlyMap<string, string>

export type FileContent = { readonly text: string } | { readonly problem: string }

export class FileReader {
  readonly #fingerprints = new Map<string, string>()
  readonly #contents = new Map<string, Promise<FileContent>>()

  get fingerprints(): Fingerprints {
    return this.#fingerprints
  }

  /**
   * A file that is asked for again is as it was the first time: nobody has two halves of a change.
   * @returns the text, or in words why it cannot be had.
   */
  async read(path: string, bytesMax: number): Promise<FileContent> {
    const key = `${bytesMax} ${path}`
    const content = this.#contents.get(key) ?? this.#read(path, bytesMax)
    this.#contents.set(key, content)
    return await content
  }

  async #read(path: string, bytesMax: number): Promise<FileContent> {
    try {
      await using file = await open(path)
      this.#fingerprints.set(path, fingerprintOf(await file.stat({ bigint: true })))
      const bytes = await readAtMost(file, bytesMax + 1)
      if (bytes.length > bytesMax) return { problem: `is larger than ${bytesMax} bytes` }
      return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
    } catch (error) {
      return await this.#failed(path, error)
    }
  }

  async #failed(path: string, error: unknown): Promise<FileContent> {
    if (!(error instanceof Error)) throw error
    const code = 'code' in error ? String(error.code) : ''
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return { problem: 'is not UTF-8 text' }
    if (!this.#fingerprints.has(path)) {
      this.#fingerprints.set(path, code === 'ENOENT' ? code : await fingerprint(path))
    }
    return { problem: reasons[code] ?? `cannot be read: ${error.message}` }
  }
}

const uid = process.getuid?.() ?? 'this user'

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EISDIR: 'is a directory',
  ENOTDIR: 'does not exist: a part of its path is not a directory',
  EACCES: `may not be read by user id ${uid}`,
  EPERM: `may not be read by user id ${uid}`,
}

async function readAtMost(file: FileHandle, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  const stream = file.createReadStream({ end: bytesMax - 1, autoClose: false })
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** @returns what {@link FileReader} would remember of the file as it is now. */
export async function fingerprint(path: string): Promise<string> {
  try {
    return fingerprintOf(await stat(path, { bigint: true }))
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
  }
}

/**
 * Kubernetes swaps a symbolic link above the file: the inode changes even when the rest does not. A
 * change of owner or mode, which may make a file readable, shows in ctime only.
 */
function fingerprintOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
}
