/**
 * Access as the HTTP side sees it: who asks, whether they may, what to challenge them with, and
 * tokens. `reload` puts other settings in force between two requests; a token or a remembered login
 * of an old password is worth nothing from then on.
 */
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'
import { formatScope, type Scope } from '../oci/scope.ts'
import { Access, type AccessDependencies, type AccessSettings } from './access.ts'
import { Argon2 } from './argon2.ts'
import { parseAuthorization } from './basic.ts'
import { ChallengeError, formatChallenges } from './challenge.ts'
import type { Challenge, ChallengeOptions } from './challenge.ts'
import { LoginThrottle } from './login-throttle.ts'
import { anonymousName, type AuthenticatedPrincipal } from './principal.ts'
import type { TokenRequest } from './token-request.ts'
import { Tokens } from './token.ts'

export interface AuthenticatorDependencies {
  /** Milliseconds since 1970, for tokens. */
  readonly clock: { now(): number }
  /** Milliseconds that only go forward, for the waits after failed logins. */
  readonly monotonicClock?: { now(): number }
  readonly signingKey: Uint8Array
}

/** The answer of the token endpoint, as both of its specifications want it. */
export interface IssuedToken {
  readonly token: string
  readonly access_token: string
  readonly expires_in: number
  readonly issued_at: string
  /** What was granted of what was asked for. */
  readonly scope: string
  readonly refresh_token?: string
}

export class Authenticator {
  readonly #clock: { now(): number }
  readonly #tokens: Tokens
  readonly #dependencies: AccessDependencies
  #access: Access
  #wrongLogins = 0

  constructor(dependencies: AuthenticatorDependencies, settings: AccessSettings) {
    const { clock, monotonicClock = performance, signingKey } = dependencies
    this.#clock = clock
    this.#tokens = new Tokens({ clock, signingKey })
    this.#dependencies = {
      argon2: new Argon2(),
      throttle: new LoginThrottle(monotonicClock),
      signingKey,
      onWrong: () => {
        this.#wrongLogins += 1
      },
    }
    this.#access = new Access(this.#dependencies, settings)
  }

  reload(settings: AccessSettings): void {
    this.#access = new Access(this.#dependencies, settings, this.#access)
  }

  /** Whether nothing at all can be done without a login. */
  get loginRequired(): boolean {
    return this.#access.loginRequired
  }

  /** Since the start: with a wrong name or password, and not tried after too many of those. */
  get refusedLogins(): { readonly wrong: number; readonly throttled: number } {
    return { wrong: this.#wrongLogins, throttled: this.#dependencies.throttle.refusals }
  }

  /**
   * @param authorization the header. It is not looked at while no user is configured, so that
   *   clients which keep an old login go on working. An empty name with an empty password is what
   *   some clients send when they have none.
   * @throws ChallengeError, or OciError TOOMANYREQUESTS.
   */
  async authenticate(
    authorization: string | undefined,
    clientAddress: string,
  ): Promise<AuthenticatedPrincipal> {
    const access = this.#access
    if (access.isOpen || authorization === undefined) return access.anonymous
    const given = parseAuthorization(authorization)
    if (given.scheme === 'basic') {
      const isEmpty =
        given.credentials?.user.length === 0 && given.credentials.password.length === 0
      return isEmpty ? access.anonymous : access.logIn(given.credentials, clientAddress)
    }
    const claims = await this.#tokens.verify('access', given.token)
    const principal = claims && access.findBearer(claims)
    if (principal !== undefined) return principal
    throw new ChallengeError({ error: 'invalid_token' }, 'the token is not valid, or no longer')
  }

  /** Who asks the token endpoint. A bearer may not: its token would be good for ever. */
  async authenticateTokenRequest(
    { grant }: TokenRequest,
    authorization: string | undefined,
    clientAddress: string,
  ): Promise<AuthenticatedPrincipal> {
    const access = this.#access
    if (access.isOpen) return access.anonymous
    if (grant.type === 'password') return access.logIn(grant.credentials, clientAddress)
    if (grant.type === 'refresh_token') return this.#authenticateRefresh(access, grant.token)
    const principal = await this.authenticate(authorization, clientAddress)
    const isEnough = principal.kind === 'user' || !access.loginRequired
    if (isEnough && principal.kind !== 'token') return principal
    const message = principal.kind === 'token' ? 'a token is no login; use the password' : undefined
    throw new ChallengeError({ schemes: ['basic'] }, message)
  }

  /**
   * @param source what a request can do without (a blob that is not mounted is uploaded), but a
   *   client that is not told so would never get a token for.
   * @throws ChallengeError when a login may help, OciError DENIED when it does not.
   */
  authorize(principal: AuthenticatedPrincipal, scope: Scope, source?: Scope): void {
    const isEnough = principal.allows(scope)
    if (isEnough && (source === undefined || principal.allows(source))) return
    const challenge = { scope, ...(source && { source }) }
    if (principal.kind === 'anonymous') throw new ChallengeError(challenge)
    if (principal.kind === 'token') {
      const needed = [scope, ...(source ? [source] : [])].map(formatScope).join(' ')
      const message = `the token does not allow this; it takes one for ${needed}`
      throw new ChallengeError(
        { ...challenge, error: 'insufficient_scope' },
        principal.name === anonymousName ? undefined : message,
      )
    }
    if (!isEnough) throw new OciError('DENIED', { detail: { scope: formatScope(scope) } })
  }

  /**
   * `GET /v2/`, where clients of the docker family decide once whether to log in at all. With
   * anonymous pull it answers 200 to anonymous, and:
   * - podman, skopeo and buildah log in if that answer has a challenge (RFC 9110, 11.6.1, allows it
   *   there), so one is returned to be sent with it;
   * - the Docker engine logs in only after a 401, and after a 200 pushes without its login and
   *   fails. So it gets a 401, for the token service, which gives it an anonymous token if it has no
   *   login. Basic is left out: it tries every challenge, and gives up at that without a password.
   * @throws ChallengeError when the answer is 401.
   */
  authorizePing(
    principal: AuthenticatedPrincipal,
    userAgent: string | undefined,
  ): Challenge | undefined {
    if (this.#access.isOpen || principal.kind !== 'anonymous') return undefined
    if (this.loginRequired) throw new ChallengeError({})
    if (userAgent?.startsWith('docker/')) throw new ChallengeError({ schemes: ['bearer'] })
    return {}
  }

  /** The part of `scopes` that the principal may have. */
  grant(principal: AuthenticatedPrincipal, scopes: readonly Scope[]): Scope[] {
    return principal.grant(scopes)
  }

  /** @param principal of `authenticateTokenRequest`. */
  async issueToken(
    principal: AuthenticatedPrincipal,
    scopes: readonly Scope[],
    options: { readonly offline?: boolean } = {},
  ): Promise<IssuedToken> {
    const { name, fingerprint } = principal
    const identity = fingerprint === undefined ? { subject: '' } : { subject: name, fingerprint }
    const access = this.grant(principal, scopes)
    const issuedAt = new Date(this.#clock.now())
    const token = await this.#tokens.issue(
      'access',
      { ...identity, access },
      limits.tokenTtlSeconds,
    )
    const issued: IssuedToken = {
      token,
      access_token: token,
      expires_in: limits.tokenTtlSeconds,
      issued_at: issuedAt.toISOString(),
      scope: access.map(formatScope).join(' '),
    }
    if (!options.offline || fingerprint === undefined) return issued
    const refreshClaims = { ...identity, access: [] }
    const refresh = await this.#tokens.issue(
      'refresh',
      refreshClaims,
      limits.refreshTokenTtlSeconds,
    )
    return { ...issued, refresh_token: refresh }
  }

  /** @returns the values of the `WWW-Authenticate` header lines. */
  challenges(options: ChallengeOptions): string[] {
    return formatChallenges(options)
  }

  async #authenticateRefresh(access: Access, token: string): Promise<AuthenticatedPrincipal> {
    const claims = await this.#tokens.verify('refresh', token)
    const principal = claims && access.findRefreshed(claims)
    if (principal !== undefined) return principal
    throw new ChallengeError({ schemes: ['basic'] }, 'the refresh token is not valid; log in again')
  }
}
