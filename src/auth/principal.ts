/**
 * Who asks, as established from the request, with the rights that come with it. Fits the `Principal`
 * that the registry's verbs take. Immutable: a reload of the settings changes later requests only.
 */
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Action, Scope } from '../oci/scope.ts'
import { commonRights, grantedScopes, isAllowed, listedRights, type Rights } from './policy.ts'

/**
 * `user` gave the password with this request, `token` came with a bearer token (of the user or of
 * anonymous), `anonymous` gave nothing. They differ in what they are told when rights are missing.
 */
export type PrincipalKind = 'anonymous' | 'user' | 'token'

export interface PrincipalOptions {
  readonly kind: PrincipalKind
  readonly name: string
  readonly rights: Rights
  /** Of the user and password that were verified; goes into tokens. */
  readonly fingerprint?: string
}

export class AuthenticatedPrincipal {
  readonly kind: PrincipalKind
  readonly name: string
  readonly fingerprint: string | undefined
  readonly #rights: Rights

  constructor({ kind, name, rights, fingerprint }: PrincipalOptions) {
    this.kind = kind
    this.name = name
    this.fingerprint = fingerprint
    this.#rights = rights
  }

  may(action: Action, repository: RepositoryName): boolean {
    return this.allows({ type: 'repository', name: repository, actions: [action] })
  }

  /** Whether all actions of the scope are allowed. */
  allows(scope: Scope): boolean {
    return isAllowed(this.#rights, scope)
  }

  /** The part of `asked` that is allowed. */
  grant(asked: readonly Scope[]): Scope[] {
    return grantedScopes(this.#rights, asked)
  }
}

export const anonymousName = 'anonymous'

/** Exactly the token's `access`, and never more than its subject may do now. */
export function tokenPrincipal(
  name: string,
  access: readonly Scope[],
  subject: Rights,
): AuthenticatedPrincipal {
  return new AuthenticatedPrincipal({
    kind: 'token',
    name,
    rights: commonRights(listedRights(access), subject),
  })
}
