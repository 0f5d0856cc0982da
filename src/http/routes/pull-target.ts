/**
 * Which repository a request is about: one of this registry's own, or another registry's, named by
 * the path (`f/<host>/<repository>`) or by containerd's `ns` parameter (specification, "Registry
 * Proxying"). The two never reach each other's content.
 */
import { OciError } from '../../oci/errors.ts'
import { isProxiedPath, parseProxiedPath, parseProxiedRepository } from '../../oci/proxied-path.ts'
import { parseRepositoryName, type RepositoryName } from '../../oci/repository-name.ts'
import { isSameHost } from '../../oci/same-host.ts'
import type { UpstreamRepository } from '../../registry/ports.ts'
import type { Exchange } from '../exchange.ts'

export type PullTarget =
  | { readonly kind: 'local'; readonly repository: RepositoryName }
  | {
      readonly kind: 'proxied'
      readonly target: UpstreamRepository
      /** As the client gave it, to be echoed. */
      readonly namespace?: string
    }

/** @throws OciError NAME_INVALID */
export function pullTargetOf(exchange: Exchange): PullTarget {
  const name = exchange.parameters['repository'] ?? ''
  const namespace = namespaceOf(exchange)
  const isProxied = isProxiedPath(name)
  if (namespace === undefined || isOwnName(exchange, namespace)) {
    if (isProxied) return { kind: 'proxied', target: parseProxiedPath(name) }
    return { kind: 'local', repository: parseRepositoryName(name) }
  }
  if (isProxied) {
    throw invalid('the path (f/...) and the parameter ns both name another registry; use one')
  }
  return { kind: 'proxied', target: parseProxiedRepository(namespace, name), namespace }
}

/** Of this registry's own repositories. @throws OciError NAME_INVALID, UNSUPPORTED */
export function localRepositoryOf(exchange: Exchange): RepositoryName {
  const target = pullTargetOf(exchange)
  if (target.kind === 'local') return target.repository
  throw new OciError('UNSUPPORTED', {
    message: 'repositories of other registries (f/..., ?ns=...) cannot be pushed to or changed',
  })
}

function namespaceOf({ query }: Exchange): string | undefined {
  const [namespace, ...more] = query.getAll('ns')
  if (more.length > 0) throw invalid('the parameter ns was given more than once')
  return namespace
}

function invalid(message: string): OciError {
  return new OciError('NAME_INVALID', { message })
}

function isOwnName({ origin, hostnames }: Exchange, namespace: string): boolean {
  const own = [origin.replace(/^https?:\/\//, ''), ...hostnames]
  return own.some((name) => isSameHost(name, namespace))
}
