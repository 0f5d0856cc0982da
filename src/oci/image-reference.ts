/**
 * Image references as people write them, `[host[:port]/]repository[:tag][@digest]`, by the grammar
 * and the normalisation of distribution's reference package: `nginx` is
 * `docker.io/library/nginx:latest`. A parsed reference names one thing in one way, whatever its
 * spelling, and its host can be put into a URL without meaning another host there.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { LruCache } from '../lib/lru-cache.ts'
import { type Digest, parseDigest } from './digest.ts'
import { OciError } from './errors.ts'
import type { Reference } from './reference.ts'
import { parseRepositoryName, type RepositoryName } from './repository-name.ts'
import { parseTag, type Tag } from './tag.ts'

/** `host` or `host:port`, lower case, IPv6 addresses in brackets. */
export type RegistryHost = string & { readonly __registryHost: unique symbol }

export interface ImageReference {
  readonly registry: RegistryHost
  readonly repository: RepositoryName
  readonly tag?: Tag
  readonly digest?: Digest
  /** What the manifest is asked for by: the digest if there is one, else the tag. */
  readonly reference: Reference
}

export const dockerHub = 'docker.io' as RegistryHost
const dockerHubAliases = new Set([
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
])

const hostLengthMax = 253
/** Host, repository, tag and sha512 digest at their longest, rounded up. */
const referenceLengthMax = 1024
const defaultTag = 'latest'

/** @throws OciError NAME_INVALID, TAG_INVALID or DIGEST_INVALID, saying what is wrong where. */
export function parseImageReference(text: string): ImageReference {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    const shown = JSON.stringify(text.slice(0, referenceLengthMax))
    throw new OciError(error.code, {
      message: `invalid image reference ${shown}: ${error.message}`,
      cause: error,
    })
  }
}

function parse(text: string): ImageReference {
  if (text.length > referenceLengthMax) {
    throw invalid(`it has more than ${referenceLengthMax} characters`)
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) throw invalid('it must not start with a scheme')
  const [name, digestText] = cut(text, '@')
  const { host, path } = splitHost(name)
  const registry = parseRegistryHost(host)
  const [repositoryText, tagText] = cut(path, ':')
  if (/^[0-9a-f]{64}$/.test(name)) throw invalid('it is an image ID, not a repository')
  const repository = parseRepositoryIn(registry, repositoryText)
  const digest = digestText === undefined ? undefined : parseDigest(digestText)
  const tag = parseOptionalTag(tagText, digest)
  return Object.freeze({
    registry,
    repository,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
    reference: digest ?? (tag as Tag),
  })
}

function parseOptionalTag(text: string | undefined, digest: Digest | undefined): Tag | undefined {
  if (text !== undefined) return parseTag(text)
  return digest === undefined ? parseTag(defaultTag) : undefined
}

/** A repository as a registry knows it: on Docker Hub a single name is in `library/`. */
export function parseRepositoryIn(registry: RegistryHost, text: string): RepositoryName {
  const isOfficial = registry === dockerHub && text !== '' && !text.includes('/')
  return parseRepositoryName(isOfficial ? `library/${text}` : text)
}

/**
 * The first segment is a host if it has a dot or a colon, or is `localhost`. Distribution also takes
 * capitals for a host, whose lower-case form would then be read as something else.
 */
function splitHost(name: string): { host: string; path: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  const isHost = /[.:]/.test(first) || first.toLowerCase() === 'localhost'
  return slash >= 0 && isHost
    ? { host: first, path: name.slice(slash + 1) }
    : { host: dockerHub, path: name }
}

/** The same few are parsed for every pull through the cache, and cost more than all else of its name. */
const parsedHosts = new LruCache<string, RegistryHost>({ entriesMax: 1_000 })

/** @throws OciError NAME_INVALID for anything that is not a plain `host` or `host:port`. */
export function parseRegistryHost(text: string): RegistryHost {
  const known = parsedHosts.get(text)
  if (known !== undefined) return known
  const host = readRegistryHost(text)
  parsedHosts.set(text, host)
  return host
}

function readRegistryHost(text: string): RegistryHost {
  const [, host, port] = /^(\[[^\]]*\]|[^:[\]]*)(?::(.*))?$/s.exec(text.toLowerCase()) ?? []
  if (host === undefined) throw invalidHost(text, 'an IPv6 address must be in brackets')
  const name = host.startsWith('[') ? parseIPv6(host, text) : parseHostName(host, text)
  if (port === undefined) return (dockerHubAliases.has(name) ? dockerHub : name) as RegistryHost
  if (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65_535) {
    throw invalidHost(text, 'the port must be a number from 1 to 65535')
  }
  return `${name}:${port}` as RegistryHost
}

function parseIPv6(host: string, text: string): string {
  const address = host.slice(1, -1)
  // A zone (`%eth0`) means something on one machine only.
  if (!isIPv6(address) || address.includes('%')) throw invalidHost(text, 'it is no IPv6 address')
  return new URL(`https://${host}`).hostname
}

function parseHostName(host: string, text: string): string {
  if (host === '') throw invalidHost(text, 'it is empty')
  if (host.length > hostLengthMax) {
    throw invalidHost(text, `it has more than ${hostLengthMax} characters`)
  }
  const labels = host.split('.')
  const bad = labels.find((label) => !/^[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?$/.test(label))
  if (bad !== undefined) {
    throw invalidHost(text, 'it may hold letters, digits, "-" and "_", separated by single dots')
  }
  // To a URL a name that ends in a number is an address, in many spellings: one of them will do.
  const isNumeric = /^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')
  if (isNumeric && !isIPv4(host)) throw invalidHost(text, 'it is no IPv4 address')
  if (!URL.canParse(`https://${host}`)) throw invalidHost(text, 'it is no valid host name')
  return host
}

export function formatImageReference(image: ImageReference): string {
  const tag = image.tag === undefined ? '' : `:${image.tag}`
  const digest = image.digest === undefined ? '' : `@${image.digest}`
  return `${image.registry}/${image.repository}${tag}${digest}`
}

function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}

function invalid(problem: string): OciError {
  return new OciError('NAME_INVALID', { message: problem })
}

function invalidHost(text: string, problem: string): OciError {
  const shown = JSON.stringify(text.slice(0, hostLengthMax))
  return invalid(`invalid registry host ${shown}: ${problem}`)
}
