/**
 * `Via` (RFC 9110, 7.6.3) as a client sent it, and the end of loops that it shows: what has come back
 * is refused before anything waits for it.
 */
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { isLoop, loopAdvice } from '../registry/proxy-chain.ts'
import type { Exchange } from './exchange.ts'

const received = /^(?:[\w!#$%&'*+.^`|~-]+\/)?[\w!#$%&'*+.^`|~-]+ [\w.:[\]-]{1,255}$/

/** Its entries without their comments; what is no entry is left out, so all are fit to be sent on. */
export function parseVia(header: string | undefined): string[] {
  if (header === undefined) return []
  return header
    .replaceAll(/\((?:[^()\\]|\\.)*\)/g, '')
    .split(',')
    .map((entry) => entry.trim().replaceAll(/[ \t]+/g, ' '))
    .filter((entry) => received.test(entry))
}

/** @throws OciError UNAVAILABLE (508) when asking `host` would only make the request come back again. */
export function refuseLoop(exchange: Exchange, host: string): void {
  const { context, proxyName } = exchange
  const bounds = { hopsMax: limits.viaHopsMax, entriesMax: limits.viaEntriesMax }
  if (!isLoop(context.via, proxyName, bounds)) return
  const message = `${host} was not asked: the request goes round in a loop of registries; ${loopAdvice}`
  throw new OciError('UNAVAILABLE', {
    status: 508,
    message,
    detail: { upstream: host },
    cause: new UpstreamError(message, { host, problem: 'loop' }),
  })
}
