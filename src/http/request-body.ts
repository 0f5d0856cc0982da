/**
 * Reading a request's body: as a stream for blobs, whole and bounded for everything else. A client
 * that waits for `100 Continue` is told to go on only when a handler really wants the bytes.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatheredBytes } from '../lib/gathered-bytes.ts'
import { OciError, type OciErrorCode } from '../oci/errors.ts'
import { discardBody } from './discard-body.ts'

export class RequestBody {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #awaitsContinue: boolean
  #bytesRead = 0
  #discarded: Promise<void> | undefined

  constructor(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean) {
    this.#request = request
    this.#response = response
    this.#awaitsContinue = awaitsContinue
  }

  /** Bytes that were read so far. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /** Whether the client still waits to be told that its bytes are wanted. */
  get isWithheld(): boolean {
    return this.#awaitsContinue
  }

  /** Content-Length; undefined for a chunked body. 0 when there is no body at all. */
  get length(): number | undefined {
    const { headers } = this.#request
    if (headers['transfer-encoding'] !== undefined) return undefined
    return Number(headers['content-length'] ?? 0)
  }

  /** The bytes as they arrive. Throws when the client breaks off. */
  async *stream(): AsyncGenerator<Uint8Array> {
    if (this.#awaitsContinue) this.#response.writeContinue()
    this.#awaitsContinue = false
    // The request must outlive an iteration that stops early: the answer is still to be sent.
    for await (const chunk of this.#request.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Uint8Array
      this.#bytesRead += bytes.length
      yield bytes
    }
  }

  /** Reads and forgets what is left, once; resolves when that is all of it, or enough. */
  discard(): Promise<void> {
    this.#discarded ??= discardBody(this.#request)
    return this.#discarded
  }

  /** @throws OciError `code` with status 413 when there are more than `bytesMax` bytes. */
  async read(bytesMax: number, code: OciErrorCode): Promise<Uint8Array> {
    const tooLarge = (): OciError =>
      new OciError(code, {
        status: 413,
        message: `the body is too large: at most ${bytesMax} bytes are accepted`,
        detail: { bytesMax },
      })
    if ((this.length ?? 0) > bytesMax) throw tooLarge()
    const body = new GatheredBytes()
    for await (const chunk of this.stream()) {
      if (body.length + chunk.length > bytesMax) throw tooLarge()
      body.add(chunk)
    }
    return body.bytes()
  }
}
