/**
 * Which repository a request is about: one of this registry's own, or another registry's, named by
 * the path (`f/<host>/<repository>`) or by containerd's `ns` parameter (specification, "Registry
 * Proxying"). The two never reach each other's content.
 */
import { parseRegistryHost, parseRepositoryIn } from '../../oci/image-reference.ts'
import { OciError } from '../../oci/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../../oci/repository-name.ts'
import type { UpstreamRepository } from '../../registry/ports.ts'
import type { Exchange } from '../exchange.ts'
import { refuseLoop } from '../via.ts'

export type PullTarget =
  | { readonly kind: 'local'; readonly repository: RepositoryName }
  | {
      readonly kind: 'proxied'
      readonly target: UpstreamRepository
      /** As the client gave it, to be echoed. */
      readonly namespace?: string
    }

const proxiedPrefix = 'f/'

/** @throws OciError NAME_INVALID, UNAVAILABLE (508) when the request came from here */
export function pullTargetOf(exchange: Exchange): PullTarget {
  const pull = parseTargetOf(exchange)
  if (pull.kind === 'proxied') refuseLoop(exchange, pull.target.host)
  return pull
}

function parseTargetOf(exchange: Exchange): PullTarget {
  const name = exchange.parameters['repository'] ?? ''
  const namespace = namespaceOf(exchange)
  const isProxiedPath = name === 'f' || name.startsWith(proxiedPrefix)
  if (namespace === undefined || isOwnName(exchange, namespace)) {
    if (isProxiedPath) return { kind: 'proxied', target: parsePath(name) }
    return { kind: 'local', repository: parseRepositoryName(name) }
  }
  if (isProxiedPath) {
    throw invalid('the path (f/...) and the parameter ns both name another registry; use one')
  }
  return { kind: 'proxied', target: parseTarget(namespace, name), namespace }
}

/** Of this registry's own repositories. @throws OciError NAME_INVALID, UNSUPPORTED */
export function localRepositoryOf(exchange: Exchange): RepositoryName {
  const target = parseTargetOf(exchange)
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

/**
 * `f/docker.io/library/nginx`. Where a client cannot write a colon into a path, `host_5000_` (as in
 * containerd's directories) or `host_5000` (which is a valid path to every client) stand for it.
 */
function parsePath(name: string): UpstreamRepository {
  const [, host = '', ...rest] = name.split('/')
  if (host === '' || rest.length === 0) {
    throw invalid('expected f/<registry>/<repository>, for example f/docker.io/library/nginx')
  }
  return parseTarget(host.replace(/_(\d{1,5})_?$/, ':$1'), rest.join('/'))
}

function parseTarget(host: string, repository: string): UpstreamRepository {
  const registry = parseRegistryHost(host)
  return { host: registry, repository: parseRepositoryIn(registry, repository) }
}

function invalid(message: string): OciError {
  return new OciError('NAME_INVALID', { message })
}

function isOwnName({ origin, hostnames }: Exchange, namespace: string): boolean {
  const own = [origin.replace(/^https?:\/\//, ''), ...hostnames]
  return own.some((name) => isSameHost(name, namespace))
}

/** A name without a port stands for every port: ingresses and node ports hide which one it is. */
function isSameHost(one: string, other: string): boolean {
  const [host, port] = splitPort(one)
  const [otherHost, otherPort] = splitPort(other)
  return host === otherHost && (port === otherPort || port === '' || otherPort === '')
}

/** `[::1]:5000`: the colons in brackets are no ports'. */
function splitPort(name: string): [host: string, port: string] {
  const [, host = name, port = ''] = /^(.*?)(?::(\d+))?$/.exec(name) ?? []
  return [host.toLowerCase(), port]
}
