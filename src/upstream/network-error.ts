/**
 * Failures below HTTP, as Node and undici report them by code, told apart by what a person or a
 * retry can do about them.
 */
import { UpstreamError, type UpstreamProblem } from '../oci/upstream-error.ts'

const problemsByCode: Readonly<Record<string, UpstreamProblem>> = {
  ENOTFOUND: 'unresolved',
  EAI_AGAIN: 'unresolved',
  EAI_FAIL: 'unresolved',
  EAI_NODATA: 'unresolved',
  EAI_NONAME: 'unresolved',
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  UND_ERR_CONNECT_TIMEOUT: 'timeout',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  EPROTO: 'protocol',
  UND_ERR_HEADERS_OVERFLOW: 'protocol',
  INVALID_CA: 'certificate',
  INVALID_PURPOSE: 'certificate',
  HOSTNAME_MISMATCH: 'certificate',
  PATH_LENGTH_EXCEEDED: 'certificate',
}

const retryableProblems = new Set<UpstreamProblem>(['connection', 'refused', 'timeout'])

/** What can only have happened on the way to a proxy, where there is one. */
const connectCodes = /^(?:ENOTFOUND|EAI_.*|ECONNREFUSED|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/

/**
 * An error of a connection as an UpstreamError; one that is that already stays what it is.
 * @param proxy the one between, whose user and password are not shown.
 */
export function networkError(url: URL, error: unknown, proxy?: URL): UpstreamError {
  if (error instanceof UpstreamError) return error
  const code = codeOf(error)
  const problem = problemOf(code)
  return new UpstreamError(describe(whoFailed(url, code, proxy), problem, code, error), {
    host: url.host,
    problem,
    retryable: retryableProblems.has(problem) || code === 'EAI_AGAIN',
    cause: error,
  })
}

/** The code of an error, or of the first one behind it (several addresses may have been tried). */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  const next: unknown = error instanceof AggregateError ? error.errors[0] : error.cause
  return next === error ? '' : codeOf(next)
}

function problemOf(code: string): UpstreamProblem {
  const known = problemsByCode[code]
  if (known !== undefined) return known
  if (/^(?:ERR_SSL_|HPE_)/.test(code)) return 'protocol'
  if (/CERT|^CRL_|^UNABLE_TO_/.test(code)) return 'certificate'
  return 'connection'
}

function whoFailed({ host }: URL, code: string, proxy: URL | undefined): string {
  if (proxy === undefined) return host
  if (connectCodes.test(code)) return `the proxy ${proxy.host}, through which ${host} is reached,`
  return `${host} (through the proxy ${proxy.host})`
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const [, status] = /^Proxy (?:response|Authentication Required) \((\d+)\)/.exec(text) ?? []
  if (status === '407') return 'the proxy wants a login, as in http://USER:PASSWORD@proxy.example'
  if (status !== undefined) return `the proxy answered ${status}`
  // Node appends advice about its own flags.
  return text.replace(/; if the root CA is installed locally.*$/s, '')
}

function describe(host: string, problem: UpstreamProblem, code: string, error: unknown): string {
  const reason = reasonOf(error)
  const descriptions: Partial<Record<UpstreamProblem, string>> = {
    unresolved: `the host of ${host} was not found (${code})`,
    refused: `${host} refused the connection`,
    timeout: `${host} did not answer in time`,
    certificate: `the certificate of ${host} is not trusted: ${reason}`,
    protocol: `${host} does not speak the expected protocol (${code})`,
  }
  return descriptions[problem] ?? `the connection to ${host} failed: ${reason}`
}
