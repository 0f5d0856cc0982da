/**
 * The token endpoint (distribution, "Token Authentication Specification" and "OAuth2 Token
 * Authentication"); `/login` is its older name.
 */
import type { Authenticator } from '../../auth/authenticator.ts'
import { parseTokenForm, parseTokenQuery, type TokenRequest } from '../../auth/token-request.ts'
import { limits } from '../../config/limits.ts'
import type { Exchange, Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'

export function tokenRoutes(authenticator: Authenticator): Route[] {
  const get = {
    access: 'public',
    handle: (exchange: Exchange) => issue(authenticator, exchange, parseTokenQuery(exchange.query)),
  } as const
  const post = {
    access: 'public',
    handle: async (exchange: Exchange) =>
      issue(authenticator, exchange, parseTokenForm(await readForm(exchange))),
  } as const
  return ['/token', '/login'].map((pattern) => ({
    name: 'token',
    pattern,
    endpoints: { GET: get, POST: post },
  }))
}

async function issue(
  authenticator: Authenticator,
  exchange: Exchange,
  request: TokenRequest,
): Promise<Reply> {
  const principal = await authenticator.authenticateTokenRequest(
    request,
    exchange.headers.authorization,
    exchange.clientAddress,
  )
  const token = await authenticator.issueToken(principal, request.scopes, {
    offline: request.offline,
  })
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(token),
  }
}

async function readForm(exchange: Exchange): Promise<URLSearchParams> {
  const bytes = await exchange.body.read(limits.formBytesMax, 'SIZE_INVALID')
  return new URLSearchParams(Buffer.from(bytes).toString('utf8'))
}
