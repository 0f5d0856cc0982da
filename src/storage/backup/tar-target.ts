/**
 * A backup as a tar archive on a stream: content first and the database last, so that an archive that
 * was cut short is none.
 */
import { stat } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import type { Writable } from 'node:stream'
import { type Pack, pack } from 'tar-stream'
import { limits } from '../../config/limits.ts'
import { StartError } from '../../lib/start-error.ts'
import { type Digest, digestAlgorithm, Digester } from '../../oci/digest.ts'
import { blobName, databaseName } from './names.ts'
import type { BackupTarget } from './target.ts'
import { readFileBytes, UnreadableFile } from './verified-copy.ts'

type Write = (chunk: Uint8Array) => Promise<void>

export class TarTarget implements BackupTarget {
  readonly #pack: Pack = pack()
  readonly #written: Promise<void>
  readonly #put = new Set<Digest>()
  #isFinished = false
  /** Why what it is written to takes no more: nobody reads it, or its disk is full. */
  #failure: Error | undefined

  constructor(output: Writable) {
    this.#written = finished(this.#pack.pipe(output))
    // Whoever waits for the end is told; the pipe breaks when nobody reads.
    this.#written.catch((cause: Error) => {
      this.#failure = new StartError(`the archive cannot be written: ${cause.message}`, { cause })
      this.#pack.destroy(this.#failure)
    })
    this.#pack.on('error', () => undefined)
  }

  hasBlob(digest: Digest): Promise<boolean> {
    return Promise.resolve(this.#put.has(digest))
  }

  /** There is nothing of it in the archive if nothing of it can be read. */
  async putBlob(digest: Digest, size: number, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
    const reading = chunks[Symbol.asyncIterator]()
    let next = await reading.next()
    const digester = new Digester(digestAlgorithm(digest))
    let failure: UnreadableFile | undefined
    await this.#entry(blobName(digest), size, 0o644, async (write) => {
      try {
        for (; next.done !== true; next = await reading.next()) {
          digester.update(next.value)
          await write(next.value)
        }
      } catch (error) {
        if (!(error instanceof UnreadableFile)) throw error
        failure = error
        await writeZeros(write, size - digester.size)
      }
    })
    if (failure !== undefined) throw failure
    this.#put.add(digest)
    return digester.digest() === digest
  }

  /** There is none before it. */
  requireSame(): Promise<void> {
    return Promise.resolve()
  }

  putFile(name: string, bytes: Uint8Array, mode: number): Promise<void> {
    return this.#entry(name, bytes.length, mode, (write) => write(bytes))
  }

  async finish(snapshot: string): Promise<void> {
    const { size } = await stat(snapshot)
    await this.#entry(databaseName, size, 0o644, async (write) => {
      for await (const chunk of readFileBytes(snapshot)) await write(chunk)
    })
    this.#isFinished = true
    this.#pack.finalize()
    await this.#written.catch((error: unknown) => {
      throw this.#failure ?? error
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isFinished) return
    this.#pack.destroy()
    await this.#written.catch(() => undefined)
  }

  async #entry(
    name: string,
    size: number,
    mode: number,
    send: (write: Write) => Promise<void>,
  ): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Its own types have none of the stream that it is.
    const entry = this.#pack.entry({ name, size, mode }, (error) => {
      if (error) reject(this.#failure ?? error)
      else resolve()
    }) as unknown as Writable
    promise.catch(() => undefined)
    // The callback above is told as well.
    entry.on('error', () => undefined)
    await send(async (chunk) => {
      if (entry.write(chunk)) return
      await Promise.race([new Promise((drained) => entry.once('drain', drained)), promise])
    })
    entry.end()
    await promise
  }
}

/** What was to come has its length in the archive already. */
async function writeZeros(write: Write, count: number): Promise<void> {
  const zeros = Buffer.alloc(limits.backupReadBytes)
  for (let left = count; left > 0; left -= zeros.length) await write(zeros.subarray(0, left))
}
