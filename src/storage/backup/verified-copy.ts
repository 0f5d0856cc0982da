/** Copying bytes with their digest computed on the way, durably. */
import { createReadStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { limits } from '../../config/limits.ts'
import { renameDurably } from '../../lib/durable.ts'
import { type Digest, digestAlgorithm, Digester } from '../../oci/digest.ts'

/** What is copied cannot be read: another thing than that its copy cannot be written. */
export class UnreadableFile extends Error {}

/** @throws UnreadableFile */
export async function* readFileBytes(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: limits.backupReadBytes })
  } catch (cause) {
    throw new UnreadableFile(cause instanceof Error ? cause.message : 'unknown error', { cause })
  }
}

/** @returns whether its bytes are there, can be read and are those of the digest. */
export async function isIntact(path: string, digest: Digest): Promise<boolean> {
  const digester = new Digester(digestAlgorithm(digest))
  try {
    for await (const chunk of readFileBytes(path)) digester.update(chunk)
  } catch (error) {
    if (error instanceof UnreadableFile) return false
    throw error
  }
  return digester.digest() === digest
}

/**
 * The file gets its name only if its bytes are those of the digest.
 * @returns whether they are.
 */
export async function writeVerified(
  path: string,
  digest: Digest,
  chunks: AsyncIterable<Uint8Array>,
): Promise<boolean> {
  const digester = new Digester(digestAlgorithm(digest))
  return await writeChunks(
    path,
    chunks,
    (chunk) => digester.update(chunk),
    () => digester.digest() === digest,
  )
}

/** @param isRight asked when all bytes are written: without it the file gets no name. */
export async function writeChunks(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void = () => undefined,
  isRight: () => boolean = () => true,
): Promise<boolean> {
  const staging = `${path}.tmp`
  await mkdir(dirname(path), { recursive: true })
  try {
    const file = await open(staging, 'w')
    try {
      for await (const chunk of chunks) {
        onChunk(chunk)
        await file.writeFile(chunk)
      }
      await file.datasync()
    } finally {
      await file.close()
    }
    if (!isRight()) return false
    await renameDurably(staging, path)
    return true
  } finally {
    await rm(staging, { force: true })
  }
}
