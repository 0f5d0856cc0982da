/**
 * Which repository a request is about: the path's name and containerd's `ns` parameter together
 * (specification, "Registry Proxying"). A name that means another registry never reaches a local
 * repository.
 */
import { OciError } from '../../oci/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../../oci/repository-name.ts'
import type { Exchange } from '../exchange.ts'

/** @throws OciError NAME_INVALID; NAME_UNKNOWN or UNSUPPORTED for a repository of another registry. */
export function repositoryOf(exchange: Exchange): RepositoryName {
  const repository = parseRepositoryName(exchange.parameters['repository'] ?? '')
  if (isProxied(repository) || isForeignNamespace(exchange)) throw notProxied(exchange)
  return repository
}

/** Names under `f/` are other registries' (`f/docker.io/library/nginx`), and can never be pushed to. */
function isProxied(repository: RepositoryName): boolean {
  return repository.startsWith('f/')
}

function isForeignNamespace(exchange: Exchange): boolean {
  const namespace = exchange.query.get('ns')
  return namespace !== null && `//${namespace}` !== exchange.origin.replace(/^https?:/, '')
}

function notProxied(exchange: Exchange): OciError {
  const isRead = exchange.method === 'GET' || exchange.method === 'HEAD'
  if (!isRead) {
    return new OciError('UNSUPPORTED', {
      message: 'repositories of other registries (f/..., ?ns=...) cannot be pushed to or changed',
    })
  }
  return new OciError('NAME_UNKNOWN', {
    message:
      'this version of Trow has no pull-through cache: pull from the other registry directly',
  })
}
