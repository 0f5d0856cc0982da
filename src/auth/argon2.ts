/**
 * Argon2id (RFC 9106) with the parameters of OWASP's "Password Storage Cheat Sheet": 19 MiB, 2
 * passes, 1 lane; 31 ms of one core. At most `runsMax` runs at a time, for they hold their memory and
 * a thread of the pool that also writes blobs, and at most `waitingMax` more wait for their turn.
 */
import { argon2, argon2Sync } from 'node:crypto'
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'

export interface Argon2Options {
  readonly runsMax: number
  readonly waitingMax: number
}

const optionsDefault: Argon2Options = {
  runsMax: limits.argon2RunsMax,
  waitingMax: limits.argon2WaitingMax,
}

function parameters(message: Buffer, nonce: Buffer) {
  return { message, nonce, memory: 19_456, passes: 2, parallelism: 1, tagLength: 32 }
}

/** Stops everything else for 31 ms: for the start, and for new settings. */
export function argon2idSync(message: Buffer, nonce: Buffer): Buffer {
  return argon2Sync('argon2id', parameters(message, nonce))
}

export class Argon2 {
  readonly #options: Argon2Options
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(options: Argon2Options = optionsDefault) {
    this.#options = options
  }

  /** @throws OciError TOOMANYREQUESTS when too many wait already. */
  async run(message: Buffer, nonce: Buffer): Promise<Buffer> {
    await this.#enter()
    try {
      return await argon2id(message, nonce)
    } finally {
      this.#leave()
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#options.runsMax) {
      this.#running += 1
      return
    }
    if (this.#waiting.length >= this.#options.waitingMax) {
      throw new OciError('TOOMANYREQUESTS', {
        message: 'too many logins at once; try again in a moment',
        headers: { 'Retry-After': '1' },
      })
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push(resolve)
    await promise
  }

  /** Hands the place to the first that waits, so that nobody can come between. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#running -= 1
    else next()
  }
}

function argon2id(message: Buffer, nonce: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters(message, nonce), (error, hash) => {
      if (error) reject(error)
      else resolve(hash)
    })
  })
}
