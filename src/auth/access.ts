/**
 * The access settings in force, made ready: the user's login, what anonymous may do, and which tokens
 * count. Immutable; other settings are another `Access`.
 */
import { createHmac } from 'node:crypto'
import type { Argon2 } from './argon2.ts'
import type { Credentials } from './basic.ts'
import { ChallengeError } from './challenge.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { Login } from './login.ts'
import { Password, type UserSettings } from './password.ts'
import { allRights, noRights, pullRights, type Rights } from './policy.ts'
import { AuthenticatedPrincipal, anonymousName } from './principal.ts'
import { tokenPrincipal } from './principal.ts'
import type { TokenClaims } from './token.ts'

export interface AccessSettings {
  /** Without a user everyone may do everything. */
  readonly user?: UserSettings | undefined
  readonly anonymousPull: boolean
}

export interface AccessDependencies {
  readonly argon2: Argon2
  readonly throttle: LoginThrottle
  readonly signingKey: Uint8Array
  /** Told of every login with a wrong name or password. */
  readonly onWrong: () => void
}

interface User {
  readonly principal: AuthenticatedPrincipal
  readonly fingerprint: string
  readonly login: Login
}

export class Access {
  readonly anonymous: AuthenticatedPrincipal
  readonly #user: User | undefined
  readonly #anonymousRights: Rights
  readonly #onWrong: () => void

  /** @param previous keeps its remembered logins when user and password are the same. */
  constructor(dependencies: AccessDependencies, settings: AccessSettings, previous?: Access) {
    this.#user =
      settings.user && prepareUser(dependencies, settings.user, previous && previous.#user)
    this.#anonymousRights = anonymousRights(settings)
    this.#onWrong = dependencies.onWrong
    this.anonymous = new AuthenticatedPrincipal({
      kind: 'anonymous',
      name: anonymousName,
      rights: this.#anonymousRights,
    })
  }

  /** Nobody is asked who they are. */
  get isOpen(): boolean {
    return this.#user === undefined
  }

  /** Nothing at all can be done without a login. */
  get loginRequired(): boolean {
    return this.#anonymousRights === noRights
  }

  /** @throws ChallengeError, or OciError TOOMANYREQUESTS. */
  async logIn(
    credentials: Credentials | undefined,
    clientAddress: string,
  ): Promise<AuthenticatedPrincipal> {
    const user = this.#user
    if (user === undefined) return this.anonymous
    const isRight = credentials && (await user.login.verify(credentials, clientAddress))
    if (isRight) return user.principal
    this.#onWrong()
    throw new ChallengeError({}, 'wrong user name or password')
  }

  /** @returns the user that a refresh token was issued to, if it still counts. */
  findRefreshed({ fingerprint }: TokenClaims): AuthenticatedPrincipal | undefined {
    return fingerprint !== undefined && fingerprint === this.#user?.fingerprint
      ? this.#user.principal
      : undefined
  }

  /** @returns undefined for the token of another password, or of anonymous if that has no rights. */
  findBearer(claims: TokenClaims): AuthenticatedPrincipal | undefined {
    if (claims.fingerprint === undefined) {
      if (this.loginRequired) return undefined
      return tokenPrincipal(anonymousName, claims.access, this.#anonymousRights)
    }
    const user = this.findRefreshed(claims)
    return user && tokenPrincipal(user.name, claims.access, allRights)
  }
}

function anonymousRights({ user, anonymousPull }: AccessSettings): Rights {
  if (user === undefined) return allRights
  return anonymousPull ? pullRights : noRights
}

function prepareUser(
  { argon2, throttle, signingKey }: AccessDependencies,
  user: UserSettings,
  previous: User | undefined,
): User {
  const fingerprint = fingerprintOf(user, signingKey)
  if (previous?.fingerprint === fingerprint) return previous
  return {
    principal: new AuthenticatedPrincipal({
      kind: 'user',
      name: user.name,
      rights: allRights,
      fingerprint,
    }),
    fingerprint,
    login: new Login(new Password(user, argon2), throttle),
  }
}

/**
 * Changes with the name and the password; says nothing of them to those without the key. It is only
 * ever compared with what a token says that carries our signature, so no time can leak from it.
 */
function fingerprintOf({ name, password }: UserSettings, signingKey: Uint8Array): string {
  return createHmac('sha256', signingKey)
    .update(`trow credential fingerprint\n${JSON.stringify([name, password])}`)
    .digest('base64url')
    .slice(0, 22)
}
