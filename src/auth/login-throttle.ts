/**
 * Slows the guessing of passwords down, per client network (an IPv4 address, a /64 of IPv6). Two
 * steps, because clients behind one ingress may all have its address:
 * - `slowed`, after `loginFailuresMax` failures in a window: no new credential is tried any more, one
 *   that was right before still passes. The same wrong credential again is no further failure (see
 *   `login.ts`), so a client with an old password, which repeats it for ever, locks nobody out.
 * - `closed`, after `loginGuessesMax` different credentials were sent while slowed: that is guessing,
 *   and each answer "it passes" or "it does not" would tell whether a guess was right. Nothing passes.
 *   Bearer tokens are not logins and go on working.
 * A window starts with its first failure. A success takes nothing back: it would let whoever shares
 * the address with a good client guess on.
 */
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import { networkOf } from '../lib/ip-address.ts'
import { OciError } from '../oci/errors.ts'

interface Window {
  readonly startedAt: number
  failures: number
  guesses: number
}

export type ThrottleState = 'open' | 'slowed' | 'closed'

export class LoginThrottle {
  readonly #clock: { now(): number }
  readonly #windows = new LruCache<string, Window>({ entriesMax: limits.loginAddressesMax })
  readonly #refused = new LruCache<string, true>({ entriesMax: limits.refusedCredentialsMax })
  #refusals = 0

  /** @param clock milliseconds that only go forward. */
  constructor(clock: { now(): number }) {
    this.#clock = clock
  }

  /** Logins that were not tried, since the start. */
  get refusals(): number {
    return this.#refusals
  }

  state(address: string): ThrottleState {
    const window = this.#find(address)
    if (window === undefined || window.failures < limits.loginFailuresMax) return 'open'
    return window.guesses < limits.loginGuessesMax ? 'slowed' : 'closed'
  }

  /**
   * Counts a failure before it is known to be one, so that many attempts at once cannot slip through.
   * @returns to be called when it was none.
   */
  countFailure(address: string): () => void {
    const window = this.#find(address) ?? this.#open(address)
    window.failures += 1
    return () => {
      window.failures -= 1
    }
  }

  /** @returns the error for an attempt that is not made. `credential` is any key of it. */
  refuse(address: string, credential: string): OciError {
    const window = this.#find(address) ?? this.#open(address)
    const guess = `${networkOf(address)} ${credential}`
    if (!this.#refused.get(guess)) window.guesses += 1
    this.#refused.set(guess, true)
    this.#refusals += 1
    const end = window.startedAt + limits.loginFailureWindowSeconds * 1000
    const seconds = Math.max(1, Math.ceil((end - this.#clock.now()) / 1000))
    return new OciError('TOOMANYREQUESTS', {
      message: `too many failed logins from this address; try again in ${seconds} s`,
      headers: { 'Retry-After': String(seconds) },
    })
  }

  #find(address: string): Window | undefined {
    const window = this.#windows.get(networkOf(address))
    if (window === undefined) return undefined
    const age = this.#clock.now() - window.startedAt
    return age < limits.loginFailureWindowSeconds * 1000 ? window : undefined
  }

  #open(address: string): Window {
    const window: Window = { startedAt: this.#clock.now(), failures: 0, guesses: 0 }
    this.#windows.set(networkOf(address), window)
    return window
  }
}
