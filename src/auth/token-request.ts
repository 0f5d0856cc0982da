/**
 * Requests to the token endpoint (`/token`, once `/login`): the query of a GET (distribution, "Token
 * Authentication Specification") and the form of a POST ("OAuth2 Token Authentication"). Only reads
 * them; whether they are granted is the authenticator's affair.
 */
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'
import { parseScope, type Scope } from '../oci/scope.ts'
import type { Credentials } from './basic.ts'

export type TokenGrant =
  /** The login, if any, is in the `Authorization` header. */
  | { readonly type: 'header' }
  | { readonly type: 'password'; readonly credentials: Credentials }
  | { readonly type: 'refresh_token'; readonly token: string }

export interface TokenRequest {
  readonly grant: TokenGrant
  /** Text that is no scope is left out: it can be granted nothing. */
  readonly scopes: readonly Scope[]
  /** Whether a refresh token is wanted too. */
  readonly offline: boolean
}

/**
 * `offline_token=true` gets no refresh token. `docker login` always sends it and, if it gets one,
 * keeps it in place of the password, with which it then cannot answer the Basic challenge.
 * `account`, `client_id` and `service` change nothing: there is one service, and the login names
 * the account.
 * @throws OciError
 */
export function parseTokenQuery(query: URLSearchParams): TokenRequest {
  return { grant: { type: 'header' }, scopes: parseScopes(query), offline: false }
}

/** @throws OciError */
export function parseTokenForm(form: URLSearchParams): TokenRequest {
  return {
    grant: parseGrant(form),
    scopes: parseScopes(form),
    offline: form.get('access_type') === 'offline',
  }
}

function parseGrant(form: URLSearchParams): TokenGrant {
  const type = form.get('grant_type')
  if (type === 'password') {
    const user = Buffer.from(required(form, 'username'))
    return { type, credentials: { user, password: Buffer.from(required(form, 'password')) } }
  }
  if (type === 'refresh_token') return { type, token: required(form, 'refresh_token') }
  throw badRequest(
    type === null
      ? 'the form has no grant_type: use password or refresh_token'
      : 'this grant_type is not supported: use password or refresh_token',
  )
}

function required(form: URLSearchParams, name: string): string {
  const value = form.get(name)
  if (value === null) throw badRequest(`the form has no ${name}, which its grant_type needs`)
  return value
}

/** `scope` may be repeated, and each hold several separated by blanks. */
function parseScopes(parameters: URLSearchParams): Scope[] {
  const texts = parameters
    .getAll('scope')
    .flatMap((value) => value.split(' '))
    .filter((text) => text !== '')
  if (texts.length > limits.scopesPerTokenMax) {
    throw badRequest(
      `${texts.length} scopes were asked for, at most ${limits.scopesPerTokenMax} go into one token`,
    )
  }
  return texts.map(parseScope).filter((scope) => scope !== undefined)
}

function badRequest(message: string): OciError {
  return new OciError('UNSUPPORTED', { status: 400, message })
}
