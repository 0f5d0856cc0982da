/**
 * Which repository a request is about: one of this registry's own, or another registry's, named by
 * the path (`f/<host>/<repository>`), by containerd's `ns` parameter (specification, "Registry
 * Proxying"), or not at all, where a default upstream is configured and this registry has nothing of
 * the name. The two never reach each other's content.
 */
import { OciError } from '../../oci/errors.ts'
import { parseRegistryHost } from '../../oci/image-reference.ts'
import { isProxiedName, parseProxiedName, parseProxiedRepository } from '../../oci/proxied-name.ts'
import { parseRepositoryName, type RepositoryName } from '../../oci/repository-name.ts'
import { isSameHost } from '../../oci/same-host.ts'
import type { UpstreamRepository } from '../../registry/ports/upstream.ts'
import type { PullThrough } from '../../registry/pull-through.ts'
import type { Exchange } from '../exchange.ts'
import { refuseLoop } from '../via.ts'

export type PullTarget =
  | { readonly kind: 'local'; readonly repository: RepositoryName }
  | {
      readonly kind: 'proxied'
      readonly target: UpstreamRepository
      /** As the client gave it, to be echoed. */
      readonly namespace?: string
      /** The name that came without a registry, where the default upstream is meant by it. */
      readonly unqualified?: RepositoryName
    }

/**
 * Of a pull. HEAD never means the default upstream: clients that push ask by it what is here, blobs
 * and manifests, and leave out what they are told of; Docker's pull goes on with GET.
 * @throws OciError NAME_INVALID, UNAVAILABLE (508) when the request has come back to where it was
 */
export async function pullTargetOf(
  exchange: Exchange,
  pullThrough: PullThrough,
): Promise<PullTarget> {
  const named = namedTargetOf(exchange)
  const isUnqualified =
    named.kind === 'local' && exchange.method === 'GET' && !exchange.query.has('ns')
  const target = isUnqualified ? await pullThrough.findDefaultTarget(named.repository) : undefined
  const meant: PullTarget =
    target === undefined || named.kind === 'proxied'
      ? named
      : { kind: 'proxied', target, unqualified: named.repository }
  if (meant.kind === 'proxied') refuseLoop(exchange, meant.target.host)
  return meant
}

/** What the request itself says. @throws OciError NAME_INVALID */
function namedTargetOf(exchange: Exchange): PullTarget {
  const name = exchange.parameters['repository'] ?? ''
  const namespace = namespaceOf(exchange)
  const isProxiedPath = isProxiedName(name)
  if (namespace === undefined || isOwnName(exchange, namespace)) {
    if (isProxiedPath) return { kind: 'proxied', target: parseProxiedName(name) }
    return { kind: 'local', repository: parseRepositoryName(name) }
  }
  if (!isProxiedPath)
    return { kind: 'proxied', target: parseProxiedRepository(namespace, name), namespace }
  // A mirror that is configured with a path gets ns besides, from BuildKit and from containerd.
  const target = parseProxiedName(name)
  if (target.host === parseRegistryHost(namespace)) return { kind: 'proxied', target, namespace }
  throw invalid('the path (f/...) and the parameter ns name two different registries')
}

/** Of this registry's own repositories. @throws OciError NAME_INVALID, UNSUPPORTED */
export function localRepositoryOf(exchange: Exchange): RepositoryName {
  const target = namedTargetOf(exchange)
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
