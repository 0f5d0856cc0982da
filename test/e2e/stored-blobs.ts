// What is in a registry's data directory, read behind its back: the blobs, each of which must have
// the digest that it is filed under.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** @returns the digests of all blobs there. @throws when one has other content than its name says */
export async function verifyStoredBlobs(dataDirectory: string): Promise<Set<string>> {
  const root = join(dataDirectory, 'blobs')
  const found = new Set<string>()
  for (const algorithm of await readdir(root)) {
    const files = await readdir(join(root, algorithm), { recursive: true, withFileTypes: true })
    for (const file of files.filter((entry) => entry.isFile())) {
      const hash = createHash(algorithm)
      await pipeline(createReadStream(join(file.parentPath, file.name)), hash)
      const digest = hash.digest('hex')
      if (digest !== file.name) {
        throw new Error(`${algorithm}:${file.name} has the content of ${algorithm}:${digest}`)
      }
      found.add(`${algorithm}:${digest}`)
    }
  }
  return found
}

/** @returns the bytes of all blobs of an OCI layout. */
export async function sizeOfLayout(layoutDirectory: string): Promise<number> {
  const directory = join(layoutDirectory, 'blobs', 'sha256')
  const sizes = (await readdir(directory)).map(async (name) => stat(join(directory, name)))
  return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0)
}

/** @returns the digests of all blobs of an OCI layout, by their names. */
export async function listLayoutBlobs(layoutDirectory: string): Promise<string[]> {
  const names = await readdir(join(layoutDirectory, 'blobs', 'sha256'))
  return names.map((name) => `sha256:${name}`)
}
