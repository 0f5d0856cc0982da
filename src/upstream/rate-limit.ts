/** `ratelimit-limit: 100;w=21600`, as Docker Hub counts pulls: how many of how many are left. */
import type { RateLimit } from '../registry/upstream-state.ts'
import { headerOf, type UpstreamHeaders } from './exchange.ts'

/** @returns undefined for an answer that does not tell. */
export function parseRateLimit(headers: UpstreamHeaders): RateLimit | undefined {
  const limit = parse(headerOf(headers, 'ratelimit-limit'))
  const remaining = parse(headerOf(headers, 'ratelimit-remaining'))
  if (limit === undefined || remaining === undefined) return undefined
  const windowSeconds = limit.windowSeconds ?? remaining.windowSeconds ?? 0
  return { limit: limit.count, remaining: remaining.count, windowSeconds }
}

function parse(text = ''): { count: number; windowSeconds: number | undefined } | undefined {
  const match = /^\s*([0-9]{1,12})(?:\s*;\s*w=([0-9]{1,12}))?/.exec(text)
  if (match === null) return undefined
  const [, count, windowSeconds] = match
  return {
    count: Number(count),
    windowSeconds: windowSeconds === undefined ? undefined : Number(windowSeconds),
  }
}
