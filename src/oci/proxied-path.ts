/**
 * Repositories of other registries as paths of this one name them: `f/<host>/<repository>`. The cache
 * that serves such a path and the policy that judges it read it here, so they cannot disagree.
 */
import { OciError } from './errors.ts'
import { parseRegistryHost, parseRepositoryIn, type RegistryHost } from './image-reference.ts'
import type { RepositoryName } from './repository-name.ts'

export interface ProxiedRepository {
  readonly host: RegistryHost
  readonly repository: RepositoryName
}

/** The first segment of such a path. */
export const proxiedSegment = 'f'

export function isProxiedPath(name: string): boolean {
  return name === proxiedSegment || name.startsWith(`${proxiedSegment}/`)
}

/**
 * `f/docker.io/library/nginx`. Where a client cannot write a colon into a path, `host_5000_` (as in
 * containerd's directories) or `host_5000` (which is a valid path to every client) stand for it.
 * @throws OciError NAME_INVALID
 */
export function parseProxiedPath(name: string): ProxiedRepository {
  const [, host = '', ...rest] = name.split('/')
  if (host === '' || rest.length === 0) {
    throw new OciError('NAME_INVALID', {
      message: 'expected f/<registry>/<repository>, for example f/docker.io/library/nginx',
    })
  }
  return parseProxiedRepository(host.replace(/_(\d{1,5})_?$/, ':$1'), rest.join('/'))
}

/** @throws OciError NAME_INVALID */
export function parseProxiedRepository(host: string, repository: string): ProxiedRepository {
  const registry = parseRegistryHost(host)
  return { host: registry, repository: parseRepositoryIn(registry, repository) }
}
