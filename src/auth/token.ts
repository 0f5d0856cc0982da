/**
 * Tokens of the Docker token flow: JWTs (RFC 7519) signed with HMAC-SHA256 under the key of the data
 * directory, with the claims of distribution's "Token Authentication Implementation". A token says
 * what it was issued for; what its subject may do is judged anew on every request.
 */
import { createSecretKey, hash, randomUUID, type KeyObject } from 'node:crypto'
import { errors, jwtVerify, SignJWT, type JWTPayload } from 'jose'
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import { OciError } from '../oci/errors.ts'
import { formatScope, parseScope, type Scope } from '../oci/scope.ts'

/** Name of this service in challenges and token requests; Trow has always had it. */
export const tokenService = 'trow_registry'

const issuer = 'trow'
const algorithm = 'HS256'

/** A refresh token opens the token endpoint only, an access token everything but. */
const kinds = {
  access: { audience: tokenService, type: 'JWT' },
  refresh: { audience: `${tokenService}/token`, type: 'refresh+jwt' },
} as const

export type TokenKind = keyof typeof kinds

export interface TokenClaims {
  /** User name; empty for anonymous. */
  readonly subject: string
  /** Of the user and password that asked; absent for anonymous. */
  readonly fingerprint?: string
  readonly access: readonly Scope[]
}

interface VerifiedClaims extends TokenClaims {
  /** Milliseconds since 1970. */
  readonly validUntil: number
}

export interface TokensOptions {
  /** Milliseconds since 1970. */
  readonly clock: { now(): number }
  readonly signingKey: Uint8Array
}

export class Tokens {
  readonly #clock: { now(): number }
  readonly #key: KeyObject
  readonly #verified = new LruCache<string, VerifiedClaims>({
    entriesMax: limits.verifiedTokensMax,
  })

  constructor({ clock, signingKey }: TokensOptions) {
    this.#clock = clock
    this.#key = createSecretKey(signingKey)
  }

  /** @throws OciError when the access asked for makes a token that no header can carry. */
  async issue(kind: TokenKind, claims: TokenClaims, ttlSeconds: number): Promise<string> {
    const now = Math.floor(this.#clock.now() / 1000)
    const payload: JWTPayload = {
      iss: issuer,
      sub: claims.subject,
      aud: kinds[kind].audience,
      exp: now + ttlSeconds,
      nbf: now,
      iat: now,
      jti: randomUUID(),
      access: claims.access,
      ...(claims.fingerprint !== undefined && { cred: claims.fingerprint }),
    }
    const token = await new SignJWT(payload)
      .setProtectedHeader({ alg: algorithm, typ: kinds[kind].type })
      .sign(this.#key)
    if (token.length > limits.tokenBytesMax) throw tooLong()
    return token
  }

  /** @returns undefined for a token that is not ours, not of this kind, or not valid now. */
  async verify(kind: TokenKind, token: string): Promise<TokenClaims | undefined> {
    if (token.length > limits.tokenBytesMax) return undefined
    const cacheKey = `${kind} ${hash('sha256', token, 'base64')}`
    const known = this.#verified.get(cacheKey)
    if (known !== undefined && this.#clock.now() < known.validUntil) return known
    this.#verified.delete(cacheKey)
    const claims = await this.#check(kind, token)
    if (claims !== undefined) this.#verified.set(cacheKey, claims)
    return claims
  }

  async #check(kind: TokenKind, token: string): Promise<VerifiedClaims | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [algorithm],
        issuer,
        audience: kinds[kind].audience,
        typ: kinds[kind].type,
        requiredClaims: ['sub', 'exp', 'nbf', 'iat', 'jti', 'access'],
        clockTolerance: limits.tokenClockSkewSeconds,
        currentDate: new Date(this.#clock.now()),
      })
      return readClaims(payload)
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined
      throw error
    }
  }
}

function readClaims({ sub, exp, access, ...rest }: JWTPayload): VerifiedClaims | undefined {
  const fingerprint = rest['cred']
  if (sub === undefined || exp === undefined || !Array.isArray(access)) return undefined
  if (fingerprint !== undefined && typeof fingerprint !== 'string') return undefined
  const scopes = access.map(readScope)
  if (!scopes.every((scope) => scope !== undefined)) return undefined
  return {
    subject: sub,
    access: scopes,
    validUntil: (exp + limits.tokenClockSkewSeconds) * 1000,
    ...(fingerprint !== undefined && { fingerprint }),
  }
}

/** The signature says that we wrote it, but not which version of us. */
function readScope(value: unknown): Scope | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { type, name, actions } = value as Partial<Record<string, unknown>>
  if (typeof type !== 'string' || typeof name !== 'string' || !Array.isArray(actions)) {
    return undefined
  }
  return parseScope(
    formatScope({ type, name, actions: actions.map(String) as Scope['actions'][0][] }),
  )
}

function tooLong(): OciError {
  return new OciError('UNSUPPORTED', {
    status: 400,
    message: 'the scopes asked for do not fit into one token; ask for fewer at a time',
  })
}
