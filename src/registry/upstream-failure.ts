/**
 * What a client is told when an upstream fails it: the one place where an UpstreamError becomes an
 * OciError, and where it is decided whether an older copy may be served instead.
 */
import { parseEcrHost } from '../oci/ecr-host.ts'
import { OciError, type OciErrorCode } from '../oci/errors.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { loopAdvice } from './proxy-chain.ts'

/** What a registry like this one answers when asking on would lead back to where a request was. */
const loopDetected = 508

/** An upstream that does not have it. */
const unknownStatuses: readonly number[] = [400, 404, 410]
/** An upstream that does not have it, or not for us: it does not tell which. */
const definite: readonly number[] = [...unknownStatuses, 401, 403]

/** Whether the upstream gave an answer about the content, rather than none. */
export function isDefinite(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false
  return error.problem === 'status' && definite.includes(error.status ?? 0)
}

/** Whether the upstream said that there is no such content; with other credentials there is none. */
export function isUnknown(error: unknown): boolean {
  return isDefinite(error) && unknownStatuses.includes((error as UpstreamError).status ?? 0)
}

/**
 * Whether the upstream said so itself, with a code of the specification: then a copy is no copy of
 * anything any more. A bare 404 is what others answer in the place of a registry that is gone: an
 * ingress that has lost it, a token service that has moved.
 */
export function isGone(error: unknown): boolean {
  return isUnknown(error) && (error as UpstreamError).codes.length > 0
}

/** @param unknown the code for content that is not there, or not for us. */
export function translateUpstreamError(
  error: unknown,
  unknown: Extract<OciErrorCode, 'MANIFEST_UNKNOWN' | 'BLOB_UNKNOWN' | 'NAME_UNKNOWN'>,
): unknown {
  if (!(error instanceof UpstreamError)) return error
  const { host, status, problem, retryAfterMs } = error
  const message = reasonOf(error, host)
  const detail = { upstream: host, ...(status !== undefined && { status }) }
  if (problem === 'offline' || isDefinite(error) || isNoManifest(error)) {
    const whole = [message, error.advice ?? refusalAdvice(error)].filter(Boolean).join('; ')
    return new OciError(unknown, { message: whole, detail, cause: error })
  }
  if (problem === 'address') return new OciError('DENIED', { message, detail, cause: error })
  if (status === loopDetected) {
    const whole = `${message}: the request goes round in a loop of registries; ${loopAdvice}`
    return new OciError('UNAVAILABLE', { status, message: whole, detail, cause: error })
  }
  const retryAfter = Math.max(1, Math.ceil((retryAfterMs ?? 1000) / 1000))
  const headers = { 'Retry-After': String(retryAfter) }
  if (status === 429)
    return new OciError('TOOMANYREQUESTS', { message, detail, headers, cause: error })
  const timedOut = problem === 'timeout' ? 504 : 502
  return new OciError('UNAVAILABLE', { status: timedOut, message, detail, headers, cause: error })
}

/** It has something of this name that cannot be served: docker's schema 1, for one. */
function isNoManifest({ cause }: UpstreamError): boolean {
  return cause instanceof OciError && cause.code === 'MANIFEST_INVALID'
}

/** What happened, in our words: what an upstream wrote is not passed on to other people. */
export function reasonOf(error: unknown, host: string): string {
  if (!(error instanceof UpstreamError)) return `${host} did not answer in time`
  if (error.problem !== 'status') return error.message
  return `${error.host} answered with status ${error.status}`
}

/** A registry that refuses does not say whether it has the image; ECR not even what was missing. */
function refusalAdvice({ host, status }: UpstreamError): string | undefined {
  if (status !== 401 && status !== 403) return undefined
  if (parseEcrHost(host) === undefined) {
    return (
      'either it does not have this, or Trow needs a login for it, or another one: see the entry of ' +
      'this registry in registry_proxies.registries'
    )
  }
  return (
    'if the image is there, what Trow logs in with (its AWS credentials, or the login of the entry ' +
    'in registry_proxies.registries) needs ecr:BatchGetImage and ecr:GetDownloadUrlForLayer for it'
  )
}
