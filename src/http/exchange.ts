/** One request on its way to a handler, and the shape of routes and handlers. */
import type { IncomingHttpHeaders } from 'node:http'
import type { AuthenticatedPrincipal } from '../auth/principal.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Action } from '../oci/scope.ts'
import type { RequestContext } from '../registry/request-context.ts'
import type { Reply } from './reply.ts'
import type { RequestBody } from './request-body.ts'
import type { PathParameters } from './router.ts'

export interface Exchange {
  readonly context: RequestContext & { readonly principal: AuthenticatedPrincipal }
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly parameters: PathParameters
  readonly body: RequestBody
  /** Address of the client, behind trusted proxies too. */
  readonly clientAddress: string
  /** `https://registry.example`: as the client sees this registry. */
  readonly origin: string
  /** `HOST[:PORT]`: what this registry is called by its configuration. */
  readonly hostnames: readonly string[]
  /** What this process calls itself in `Via`. */
  readonly proxyName: string
  /** Put before a path in a Location header: empty (relative), or the origin a trusted proxy told. */
  readonly locationBase: string
}

export type Handler = (exchange: Exchange) => Promise<Reply> | Reply

/**
 * What a request needs before its handler runs: nothing; a login that is right if there is one; the
 * right to list repositories; the right to everything; or the right to an action on the path's
 * repository.
 */
export type Access = 'public' | 'login' | 'catalog' | 'admin' | Action

export interface Endpoint {
  readonly access: Access
  /** The repository that the request takes content from, beside the path's. */
  readonly source?: (query: URLSearchParams) => RepositoryName | undefined
  readonly handle: Handler
}

export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'

export interface Route {
  /** Label of metrics and log lines. */
  readonly name: string
  readonly pattern: string
  readonly endpoints: Readonly<Partial<Record<Method, Endpoint>>>
}
