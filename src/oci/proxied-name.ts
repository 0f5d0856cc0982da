/**
 * The names that repositories of other registries have here, for the cache that serves them and the
 * policy that judges them: `f/<host>/<repository>`. One that is
 * written is of the specification's form, port included, so that every client can pull by it; and two
 * registries never have the same one.
 */
import { OciError } from './errors.ts'
import { parseRegistryHost, parseRepositoryIn, type RegistryHost } from './image-reference.ts'
import type { RepositoryName } from './repository-name.ts'

export interface ProxiedRepository {
  readonly host: RegistryHost
  readonly repository: RepositoryName
}

/** The first segment of such a name. */
export const proxiedSegment = 'f'

/** Whether the name is meant to be of this kind, well-formed or not. */
export function isProxiedName(name: string): boolean {
  return name === proxiedSegment || name.startsWith(`${proxiedSegment}/`)
}

/**
 * `f/docker.io/library/nginx`. Where a client cannot write a colon into a path, `host_5000_` (as in
 * containerd's directories) or `host_5000` (which is a valid path to every client) stand for it.
 * @throws OciError NAME_INVALID
 */
export function parseProxiedName(name: string): ProxiedRepository {
  const start = proxiedSegment.length + 1
  const end = name.indexOf('/', start)
  if (end <= start) {
    throw invalid('expected f/<registry>/<repository>, for example f/docker.io/library/nginx')
  }
  const host = name.slice(start, end)
  // Every pull through the cache comes by here, and few hosts have a port.
  const registry = host.includes('_') ? host.replace(/_(\d{1,5})_?$/, ':$1') : host
  return parseProxiedRepository(registry, name.slice(end + 1))
}

/** @throws OciError NAME_INVALID */
export function parseProxiedRepository(host: string, repository: string): ProxiedRepository {
  const registry = parseRegistryHost(host)
  return { host: registry, repository: parseRepositoryIn(registry, repository) }
}

/** @throws OciError NAME_INVALID for a host whose name reads as another one's with a port. */
export function formatProxiedName({ host, repository }: ProxiedRepository): RepositoryName {
  return `${formatProxiedHost(host)}/${repository}` as RepositoryName
}

/** `f/docker.io`: what all repositories of a registry begin with. @throws OciError, as above. */
export function formatProxiedHost(host: RegistryHost): string {
  if (host.includes('_') && /_\d{1,5}$/.test(host)) {
    throw invalid(`a registry cannot be called ${host} here: "_" and a number stand for a port`)
  }
  const colon = host.endsWith(']') ? -1 : host.lastIndexOf(':')
  const name = colon < 0 ? host : `${host.slice(0, colon)}_${host.slice(colon + 1)}`
  return `${proxiedSegment}/${name}`
}

function invalid(message: string): OciError {
  return new OciError('NAME_INVALID', { message })
}
