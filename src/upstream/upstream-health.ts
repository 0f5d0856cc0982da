/**
 * What is known about how one upstream does, and whether it may be asked now. Failures in a row open
 * a breaker, after which one request at a time tries whether it is back; a 429 is obeyed for as long
 * as it says; refused logins make a pause, so that nobody's account is locked.
 */
import { limits } from '../config/limits.ts'
import { UpstreamError, type UpstreamProblem } from '../oci/upstream-error.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type { RateLimit, UpstreamState } from '../registry/upstream-state.ts'
import type { UpstreamRequest, UpstreamResponse } from './exchange.ts'
import { parseRateLimit } from './rate-limit.ts'
import { passingStatuses } from './status-error.ts'
import type { UpstreamLog } from './upstream-settings.ts'

/** Problems of the way to an upstream, or of itself; all others tell nothing about its health. */
const failures = new Set<UpstreamProblem>([
  'unresolved',
  'refused',
  'timeout',
  'connection',
  'certificate',
  'protocol',
])

interface Suspension {
  readonly until: number
  readonly status?: number
  readonly reason: string
}

export type Health = Omit<UpstreamState, 'host' | 'pathPrefix' | 'endpoint' | 'listed'>

export class UpstreamHealth {
  readonly #host: string
  readonly #clock: Clock
  readonly #log: UpstreamLog | undefined
  #lastAnswerAt: number | undefined
  #lastFailure: { at: number; message: string } | undefined
  #failures = 0
  #openUntil: number | undefined
  #isProbing = false
  #suspension: Suspension | undefined
  #refusedRequests = 0
  #refusedLogins = 0
  #rateLimit: RateLimit | undefined

  constructor(host: string, clock: Clock, log?: UpstreamLog) {
    this.#host = host
    this.#clock = clock
    this.#log = log
  }

  /** Does `work` and draws conclusions. @throws UpstreamError `suspended` without doing it. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const isProbe = this.#admit()
    try {
      const result = await work()
      this.#succeed()
      return result
    } catch (error) {
      if (error instanceof UpstreamError) this.#learn(error)
      throw error
    } finally {
      if (isProbe) this.#isProbing = false
    }
  }

  observeRateLimit({ headers }: UpstreamResponse): void {
    this.#rateLimit = parseRateLimit(headers) ?? this.#rateLimit
  }

  /** Looks at an answer of the upstream or of its token service. */
  observeLogin(request: UpstreamRequest, response: UpstreamResponse): void {
    if (!carriesPassword(request)) return
    this.#refusedLogins = response.status === 401 ? this.#refusedLogins + 1 : 0
    if (this.#refusedLogins < limits.upstreamLoginRefusalsMax) return
    const until = this.#clock.now() + limits.upstreamLoginPauseSeconds * 1000
    this.#suspend({ until, reason: 'it refused the login again and again' })
  }

  get state(): Health {
    const now = this.#clock.now()
    const breaker = this.#breaker(now)
    return {
      ...(this.#lastAnswerAt !== undefined && { lastAnswerAt: this.#lastAnswerAt }),
      ...(this.#lastFailure && { lastFailure: this.#lastFailure }),
      breaker,
      ...(breaker === 'open' && { openUntil: this.#openUntil ?? now }),
      ...(this.#suspension && describeSuspension(this.#suspension, now)),
      ...(this.#rateLimit && { rateLimit: this.#rateLimit }),
    }
  }

  #breaker(now: number): Health['breaker'] {
    if (this.#openUntil === undefined) return 'closed'
    return now < this.#openUntil ? 'open' : 'half-open'
  }

  /** @returns whether this request is the one that tries whether the upstream is back. */
  #admit(): boolean {
    const now = this.#clock.now()
    const suspension = this.#suspension
    if (suspension !== undefined && now < suspension.until) throw this.#refuse(suspension, now)
    const breaker = this.#breaker(now)
    if (breaker === 'closed') return false
    if (breaker === 'open' || this.#isProbing) {
      const until = Math.max(this.#openUntil ?? now, now + 1000)
      throw this.#refuse({ until, reason: this.#lastFailure?.message ?? 'it failed' }, now)
    }
    this.#isProbing = true
    return true
  }

  #refuse({ until, status, reason }: Suspension, now: number): UpstreamError {
    return new UpstreamError(`${this.#host} is not asked for a while: ${reason}`, {
      host: this.#host,
      problem: 'suspended',
      ...(status !== undefined && { status }),
      retryable: true,
      retryAfterMs: until - now,
    })
  }

  #succeed(): void {
    this.#answered()
    this.#refusedRequests = 0
  }

  #answered(): void {
    this.#lastAnswerAt = this.#clock.now()
    this.#failures = 0
    if (this.#openUntil === undefined) return
    this.#openUntil = undefined
    this.#log?.info({ upstream: this.#host }, 'the upstream answers again')
  }

  #learn(error: UpstreamError): void {
    const { problem, status } = error
    const now = this.#clock.now()
    if (isWorthTelling(error)) {
      const message = error.message.slice(0, limits.upstreamFailureMessageLengthMax)
      this.#lastFailure = { at: now, message }
    }
    if (problem === 'status' && !passingStatuses.has(status ?? 0)) return this.#succeed()
    if (status === 429 && problem === 'status') this.#rest(error, now)
    else if (problem === 'status' || failures.has(problem)) this.#fail(now)
  }

  /** It lives, and wants to be left alone. */
  #rest(error: UpstreamError, now: number): void {
    this.#answered()
    // Of requests that were under way together only the first one counts.
    if ((this.#suspension?.until ?? 0) <= now) this.#refusedRequests += 1
    const { upstreamSuspensionSecondsMin: min, upstreamSuspensionSecondsMax: max } = limits
    const backoffMs = min * 1000 * 2 ** (this.#refusedRequests - 1)
    const pause = Math.min(max * 1000, error.retryAfterMs ?? backoffMs)
    this.#suspend({ until: now + pause, status: 429, reason: 'too many requests' })
  }

  #suspend(suspension: Suspension): void {
    if (suspension.until < (this.#suspension?.until ?? 0)) return
    this.#suspension = suspension
    const { until, reason } = suspension
    const fields = { upstream: this.#host, until: new Date(until).toISOString(), reason }
    this.#log?.warn(fields, 'the upstream is left alone for a while')
  }

  #fail(now: number): void {
    this.#failures += 1
    if (this.#failures < limits.upstreamBreakerFailuresMax) return
    if (this.#openUntil === undefined) {
      const fields = { upstream: this.#host, reason: this.#lastFailure?.message }
      this.#log?.warn(fields, 'the upstream fails; cached copies are served meanwhile')
    }
    this.#openUntil = now + limits.upstreamBreakerOpenSeconds * 1000
  }
}

function describeSuspension({ until, status }: Suspension, now: number): Partial<Health> {
  if (until <= now) return {}
  return { suspendedUntil: until, suspendedFor: status === 429 ? 'rate-limit' : 'refused-login' }
}

/**
 * Refusals too, which are answers: an operator may find in them what is wrong with a login, or that it is
 * no registry that answers (a 404 without a code).
 */
function isWorthTelling({ problem, status = 0, codes }: UpstreamError): boolean {
  if (problem !== 'status') {
    return problem === 'content' || problem === 'login' || failures.has(problem)
  }
  const isNoRegistrys = status === 404 && codes.length === 0
  return passingStatuses.has(status) || status === 401 || status === 403 || isNoRegistrys
}

/** Tokens that are refused are no logins: they cost nobody an account. */
function carriesPassword({ method, headers }: UpstreamRequest): boolean {
  return method === 'POST' || /^basic /i.test(headers['authorization'] ?? '')
}
