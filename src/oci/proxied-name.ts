/**
 * The names that repositories of other registries have here: `f/<host>/<repository>`. One that is
 * written is of the specification's form, port included, so that every client can pull by it; and two
 * registries never have the same one.
 */
import { OciError } from './errors.ts'
import { parseRegistryHost, parseRepositoryIn, type RegistryHost } from './image-reference.ts'
import type { RepositoryName } from './repository-name.ts'

interface ProxiedRepository {
  readonly host: RegistryHost
  readonly repository: RepositoryName
}

const firstSegment = 'f'

/** Whether the name is meant to be of this kind, well-formed or not. */
export function isProxiedName(name: string): boolean {
  return name === firstSegment || name.startsWith(`${firstSegment}/`)
}

/**
 * `f/docker.io/library/nginx`. Where a client cannot write a colon into a path, `host_5000_` (as in
 * containerd's directories) or `host_5000` (which is a valid path to every client) stand for it.
 * @throws OciError NAME_INVALID
 */
export function parseProxiedName(name: string): ProxiedRepository {
  const [, host = '', ...rest] = name.split('/')
  if (host === '' || rest.length === 0) {
    throw invalid('expected f/<registry>/<repository>, for example f/docker.io/library/nginx')
  }
  const registry = parseRegistryHost(host.replace(/_(\d{1,5})_?$/, ':$1'))
  return { host: registry, repository: parseRepositoryIn(registry, rest.join('/')) }
}

/** @throws OciError NAME_INVALID for a host whose name reads as another one's with a port. */
export function formatProxiedName({ host, repository }: ProxiedRepository): RepositoryName {
  if (/_\d{1,5}$/.test(host)) {
    throw invalid(`a registry cannot be called ${host} here: "_" and a number stand for a port`)
  }
  return `${firstSegment}/${host.replace(/:(\d+)$/, '_$1')}/${repository}` as RepositoryName
}

function invalid(message: string): OciError {
  return new OciError('NAME_INVALID', { message })
}
