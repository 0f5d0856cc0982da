/** `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. */
import { headerOf, type UpstreamHeaders } from './exchange.ts'

/** @returns milliseconds to wait, counted from `now`; undefined without a usable header. */
export function retryAfterMs(headers: UpstreamHeaders, now: number): number | undefined {
  const value = headerOf(headers, 'retry-after')?.trim()
  if (value === undefined || value === '') return undefined
  if (/^[0-9]+$/.test(value)) return Math.min(Number(value) * 1000, Number.MAX_SAFE_INTEGER)
  const date = /[a-z]/i.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
