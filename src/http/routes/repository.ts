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

function isForeignNamespace({ query, origin, hostnames }: Exchange): boolean {
  const namespace = query.get('ns')
  if (namespace === null || namespace === '') return false
  const own = [origin.replace(/^https?:\/\//, ''), ...hostnames]
  return !own.some((name) => isSameHost(name, namespace))
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
