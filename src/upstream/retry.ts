/**
 * The layer that repeats requests: only those that change nothing (GET, HEAD), only after failures that pass (a broken
 * connection, 429, 5xx), a bounded number of times, with jittered exponential backoff or the
 * upstream's own `Retry-After`. A longer `Retry-After` than the bound is the caller's to deal with.
 */
import { limits } from '../config/limits.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { discard, type Send, type UpstreamResponse } from './exchange.ts'
import { retryAfterMs } from './retry-after.ts'
import { passingStatuses } from './status-error.ts'
import type { Timer } from './timer.ts'

export interface RetryPolicy {
  /** How often a request is sent in all. */
  readonly attempts: number
  /** What the first backoff is at most; each further one doubles it up to `backoffMsMax`. */
  readonly backoffMsMin: number
  readonly backoffMsMax: number
  readonly retryAfterMsMax: number
  /** Answers that are no reason to ask again at once, though they pass. */
  readonly finalStatuses?: readonly number[]
}

export const defaultRetryPolicy: RetryPolicy = {
  attempts: limits.upstreamAttemptsMax,
  backoffMsMin: limits.upstreamBackoffMsMin,
  backoffMsMax: limits.upstreamBackoffMsMax,
  retryAfterMsMax: limits.upstreamRetryAfterSecondsMax * 1000,
}

export interface RetryOptions {
  readonly policy: RetryPolicy
  readonly timer: Timer
  /** From 0 up to 1. */
  readonly random: () => number
}

export function retrying(send: Send, { policy, timer, random }: RetryOptions): Send {
  return async (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return await send(request)
    for (let attempt = 1; ; attempt++) {
      const result = await send(request).catch((error: unknown) => failureWorthRepeating(error))
      if (attempt >= policy.attempts) return valueOf(result)
      const delay = isFinal(result, policy)
        ? undefined
        : delayAfter(result, backoff(policy, attempt, random), timer.now())
      if (delay === undefined || delay > policy.retryAfterMsMax) return valueOf(result)
      if (!(result instanceof UpstreamError)) await discard(result)
      await timer.wait(delay, request.signal)
    }
  }
}

type Result = UpstreamResponse | UpstreamError

/** Returns what may pass and throws what will not: no time-outs, they took long enough. */
function failureWorthRepeating(error: unknown): UpstreamError {
  if (error instanceof UpstreamError && error.problem === 'connection') return error
  throw error
}

function valueOf(result: Result): UpstreamResponse {
  if (result instanceof UpstreamError) throw result
  return result
}

function isFinal(result: Result, { finalStatuses = [] }: RetryPolicy): boolean {
  return result.status !== undefined && finalStatuses.includes(result.status)
}

/** @returns undefined for an answer that stands. */
function delayAfter(result: Result, backoffMs: number, now: number): number | undefined {
  if (result instanceof UpstreamError) return backoffMs
  if (!passingStatuses.has(result.status)) return undefined
  return retryAfterMs(result.headers, now) ?? backoffMs
}

/** Half of it is fixed, half is random, so that clients that failed together come back apart. */
function backoff(policy: RetryPolicy, attempt: number, random: () => number): number {
  const full = Math.min(policy.backoffMsMax, policy.backoffMsMin * 2 ** (attempt - 1))
  return full / 2 + (random() * full) / 2
}
