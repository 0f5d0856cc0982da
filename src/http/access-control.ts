/**
 * Who may do what, asked before a handler runs: the Authorization header becomes a principal, the
 * endpoint's needs become a scope, and a refusal gets the challenges that tell a client how to log in.
 */
import type { Authenticator } from '../auth/authenticator.ts'
import { type Challenge, ChallengeError } from '../auth/challenge.ts'
import { adminScope, catalogScope } from '../auth/policy.ts'
import type { AuthenticatedPrincipal } from '../auth/principal.ts'
import { tokenService } from '../auth/token.ts'
import type { Scope } from '../oci/scope.ts'
import type { Access } from './exchange.ts'
import type { Reply } from './reply.ts'

export interface Admission {
  readonly access: Access
  /** Of the path; undefined where the path names none. */
  readonly repository: string | undefined
  /** Of another one, that content is taken from. */
  readonly source: string | undefined
  readonly authorization: string | undefined
  readonly clientAddress: string
}

/** @throws OciError UNAUTHORIZED (a ChallengeError), DENIED, TOOMANYREQUESTS */
export async function admit(
  authenticator: Authenticator,
  admission: Admission,
): Promise<AuthenticatedPrincipal> {
  const { access, repository, source, authorization, clientAddress } = admission
  const header = access === 'public' ? undefined : authorization
  const principal = await authenticator.authenticate(header, clientAddress)
  if (access !== 'public' && access !== 'login') {
    const scope = scopeOf(access, repository ?? '')
    authenticator.authorize(principal, scope, source ? scopeOf('pull', source) : undefined)
  }
  return principal
}

/** A client that pushes looks at what is there first: one token is to serve for both. */
function scopeOf(access: Exclude<Access, 'public' | 'login'>, repository: string): Scope {
  if (access === 'catalog') return catalogScope
  if (access === 'admin') return adminScope
  const actions = access === 'push' ? (['pull', 'push'] as const) : [access]
  return { type: 'repository', name: repository, actions }
}

/** @param origin of this registry as the client sees it: the token endpoint is there. */
export function challengeHeaders(
  authenticator: Authenticator,
  challenge: Challenge | undefined,
  origin: string,
): Record<string, readonly string[]> {
  if (challenge === undefined) return {}
  const realm = `${origin}/token`
  const lines = authenticator.challenges({ ...challenge, realm, service: tokenService })
  return { 'WWW-Authenticate': lines }
}

export function withChallenges(
  authenticator: Authenticator,
  reply: Reply,
  error: unknown,
  origin: string,
): Reply {
  if (!(error instanceof ChallengeError)) return reply
  const challenges = challengeHeaders(authenticator, error.challenge, origin)
  return { ...reply, headers: { ...reply.headers, ...challenges } }
}
