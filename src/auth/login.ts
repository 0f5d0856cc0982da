/**
 * Logging in with user and password on every request, at the price of one argon2 run: credentials
 * that were right are remembered, as a keyed hash under a key that lives as long as the process. One
 * object serves one user and password; new ones get a new object, with nothing remembered.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { networkOf } from '../lib/ip-address.ts'
import type { Credentials } from './basic.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Password } from './password.ts'

export class Login {
  readonly #password: Pick<Password, 'verify'>
  readonly #throttle: LoginThrottle
  readonly #cacheKey = randomBytes(32)
  readonly #verified = new LruCache<string, true>({ entriesMax: limits.verifiedCredentialsMax })
  /** A client with an old password repeats it for ever; only its first try costs or counts. */
  readonly #wrong = new LruCache<string, true>({ entriesMax: limits.refusedCredentialsMax })
  readonly #attempts = new SingleFlight<string, boolean>()
  readonly #checks = new SingleFlight<string, boolean>()

  constructor(password: Pick<Password, 'verify'>, throttle: LoginThrottle) {
    this.#password = password
    this.#throttle = throttle
  }

  /** @throws OciError TOOMANYREQUESTS when the address has failed too often. */
  async verify(credentials: Credentials, clientAddress: string): Promise<boolean> {
    const key = this.#keyOf(credentials)
    const state = this.#throttle.state(clientAddress)
    if (state !== 'closed') {
      if (this.#verified.get(key)) return true
      if (this.#wrong.get(key)) return false
    }
    if (state !== 'open') throw this.#throttle.refuse(clientAddress, key)
    // A client that sends one wrong password in many requests at once has failed once.
    return this.#attempts.run(`${networkOf(clientAddress)} ${key}`, () =>
      this.#attempt(credentials, key, clientAddress),
    )
  }

  async #attempt(credentials: Credentials, key: string, clientAddress: string): Promise<boolean> {
    const takeBack = this.#throttle.countFailure(clientAddress)
    let isRight: boolean | undefined
    try {
      isRight = await this.#checks.run(key, () => this.#password.verify(credentials))
    } finally {
      if (isRight !== false) takeBack()
    }
    const remembered = isRight ? this.#verified : this.#wrong
    remembered.set(key, true)
    return isRight
  }

  #keyOf({ user, password }: Credentials): string {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(user.length)
    return createHmac('sha256', this.#cacheKey)
      .update(length)
      .update(user)
      .update(password)
      .digest('base64')
  }
}
