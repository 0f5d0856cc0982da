/**
 * The configured user and password, kept as hashes only. A check takes the same work and the same
 * path whatever is wrong, the name or the password, so that its time tells neither.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { limits } from '../config/limits.ts'
import { argon2idSync, type Argon2 } from './argon2.ts'
import type { Credentials } from './basic.ts'

export interface UserSettings {
  readonly name: string
  readonly password: string
}

export class Password {
  readonly #argon2: Argon2
  readonly #salt = randomBytes(16)
  readonly #userDigest: Buffer
  readonly #hash: Buffer

  constructor(user: UserSettings, argon2: Argon2) {
    this.#argon2 = argon2
    this.#userDigest = digest(Buffer.from(user.name))
    this.#hash = argon2idSync(Buffer.from(user.password), this.#salt)
  }

  /** An empty password is never right, nor one that no setting can hold. */
  async verify({ user, password }: Credentials): Promise<boolean> {
    if (password.length === 0 || password.length > limits.passwordBytesMax) return false
    const hash = await this.#argon2.run(password, this.#salt)
    const isUser = timingSafeEqual(digest(user), this.#userDigest)
    const isPassword = timingSafeEqual(hash, this.#hash)
    return isUser && isPassword
  }
}

/** Makes names of any length comparable in constant time. */
function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}
