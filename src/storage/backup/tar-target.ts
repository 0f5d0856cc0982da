/**
 * A backup as a tar archive on a stream: content first and the database last, so that an archive that
 * was cut short is none.
 */
import { stat } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import type { Writable } from 'node:stream'
import { type Pack, pack } from 'tar-stream'
import { type Digest, digestAlgorithm, Digester } from '../../oci/digest.ts'
import { blobName, databaseName } from './names.ts'
import type { BackupTarget } from './target.ts'
import { readFileBytes } from './verified-copy.ts'

export class TarTarget implements BackupTarget {
  readonly #pack: Pack = pack()
  readonly #written: Promise<void>
  #isFinished = false

  constructor(output: Writable) {
    this.#written = finished(this.#pack.pipe(output))
    // Whoever waits for the end is told; the pipe breaks when nobody reads.
    this.#written.catch((error: Error) => this.#pack.destroy(error))
  }

  async hasBlob(): Promise<boolean> {
    return false
  }

  async putBlob(digest: Digest, size: number, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
    const digester = new Digester(digestAlgorithm(digest))
    await this.#entry(blobName(digest), size, 0o644, async (write) => {
      for await (const chunk of chunks) {
        digester.update(chunk)
        await write(chunk)
      }
    })
    return digester.digest() === digest
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
    await this.#written
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
    send: (write: (chunk: Uint8Array) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Its own types have none of the stream that it is.
    const entry = this.#pack.entry({ name, size, mode }, (error) => {
      if (error) reject(error)
      else resolve()
    }) as unknown as Writable
    promise.catch(() => undefined)
    await send(async (chunk) => {
      if (entry.write(chunk)) return
      await Promise.race([new Promise((drained) => entry.once('drain', drained)), promise])
    })
    entry.end()
    await promise
  }
}
