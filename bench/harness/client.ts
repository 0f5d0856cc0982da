// A client that pulls as a node does: for questions about one pull or one first byte, where starting
// a load generator would take longer than what is measured.

import { Agent, request } from 'node:http'
import type { StoredImage } from './content.ts'
import { acceptedTypes } from './load.ts'

const answerSecondsMax = 30

export interface Answer {
  /** Milliseconds until the first byte of the body, and until the last one. */
  readonly firstByteMs: number
  readonly totalMs: number
  readonly bytes: number
}

export class Client implements Disposable {
  readonly #agent = new Agent({ keepAlive: true })
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** @throws unless it is answered with 200 and all bytes. */
  get(path: string): Promise<Answer> {
    const started = performance.now()
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, this.#url), {
        agent: this.#agent,
        headers: { accept: acceptedTypes },
        signal: AbortSignal.timeout(answerSecondsMax * 1000),
      })
      outgoing.once('error', reject)
      outgoing.once('response', (incoming) => {
        let firstByteMs = Number.NaN
        let bytes = 0
        incoming.once('error', reject)
        incoming.on('data', (chunk: Buffer) => {
          if (bytes === 0) firstByteMs = performance.now() - started
          bytes += chunk.length
        })
        incoming.once('end', () => {
          if (incoming.statusCode !== 200) reject(new Error(`${path}: ${incoming.statusCode}`))
          else resolve({ firstByteMs, totalMs: performance.now() - started, bytes })
        })
      })
      outgoing.end()
    })
  }

  /** The manifest by its tag, then the blobs, all at a time. @returns milliseconds. */
  async pull(repository: string, image: StoredImage): Promise<number> {
    const started = performance.now()
    await this.get(`/v2/${repository}/manifests/${image.tag}`)
    await Promise.all(
      image.blobs.map(({ digest }) => this.get(`/v2/${repository}/blobs/${digest}`)),
    )
    return performance.now() - started
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
