/**
 * The challenges that ask a client for a login (RFC 9110, 11.6.1; distribution, "Token Authentication
 * Specification"). Their order and form are what clients' parsers need:
 * - one challenge per header line: containerd and containers/image read only one from each;
 * - Bearer first: oras and docker-ls look at the first line only, crane and podman take the first
 *   scheme they know;
 * - `realm`, `service`, `scope` in this order without blanks, nothing else unless there is an error:
 *   docker-ls matches exactly that.
 */
import { OciError } from '../oci/errors.ts'
import { formatScope, type Scope } from '../oci/scope.ts'

/** RFC 6750, 3.1. */
export type BearerError = 'invalid_token' | 'insufficient_scope'
export type ChallengeScheme = 'bearer' | 'basic'

/** What is known of a challenge where the request is judged. */
export interface Challenge {
  /** What the client should get a token for. */
  readonly scope?: Scope
  /** Goes into the same token: what the request takes from, of another repository. */
  readonly source?: Scope
  readonly error?: BearerError
  /** Both when absent. */
  readonly schemes?: readonly ChallengeScheme[]
}

export interface ChallengeOptions extends Challenge {
  /** Absolute URL of the token endpoint: few clients understand a relative one. */
  readonly realm: string
  readonly service: string
}

/** A refusal that a login, or a better token, would turn. Goes with `WWW-Authenticate` headers. */
export class ChallengeError extends OciError {
  readonly challenge: Challenge

  constructor(challenge: Challenge, message?: string) {
    super('UNAUTHORIZED', {
      ...(message !== undefined && { message }),
      ...(challenge.scope && { detail: { scope: formatScope(challenge.scope) } }),
    })
    this.challenge = challenge
  }
}

/** @returns the values of the `WWW-Authenticate` header lines. */
export function formatChallenges(options: ChallengeOptions): string[] {
  const schemes = options.schemes ?? ['bearer', 'basic']
  return schemes.map((scheme) => (scheme === 'bearer' ? bearer(options) : 'Basic realm="Trow"'))
}

function bearer({ realm, service, scope, source, error }: ChallengeOptions): string {
  const parameters = [`realm=${quoted(realm)}`, `service=${quoted(service)}`]
  const scopes = [scope, source].filter((wanted) => wanted !== undefined)
  if (scopes.length > 0) parameters.push(`scope=${quoted(scopes.map(formatScope).join(' '))}`)
  if (error !== undefined) parameters.push(`error=${quoted(error)}`)
  return `Bearer ${parameters.join(',')}`
}

/** A quoted-string (RFC 9110, 5.6.4) of printable ASCII; other characters could end the header. */
function quoted(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, String.raw`\$&`)}"`
}
