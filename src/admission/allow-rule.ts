/**
 * Reads a rule of `allow`. It ends at the boundary of a part, so that `docker.io` is not for
 * `docker.io.evil.com`, unless it ends in `/`, `:`, `@`, `-`, `_` or `.` behind the registry and so
 * says that anything may follow. The registry has to be named: it is what the rule trusts.
 */
import { isIP } from 'node:net'
import { isDigest } from '../oci/digest.ts'
import { isRepositoryName } from '../oci/repository-name.ts'
import { splitPort } from '../oci/same-host.ts'
import { isTag } from '../oci/tag.ts'
import { parseImageGlob } from './image-glob.ts'
import { probablyMeant } from './probably-meant.ts'
import type { RuleForm, RuleReading } from './rule.ts'
import {
  cutLast,
  cutSuffix,
  isHubOwner,
  isShortName,
  looksLikeHost,
  readHost,
  splitRule,
} from './rule-text.ts'

/** @throws InvalidRule for a glob that cannot be read. */
export function readAllowRule(text: string): RuleReading {
  const reading = readAllow(text)
  if (!('never' in reading)) return reading
  const meant = probablyMeant(text, (other) => !('never' in readAllow(other)))
  const problem = { kind: 'never', reason: reading.never } as const
  return { forms: [], problem: meant === undefined ? problem : { ...problem, meant } }
}

interface Never {
  readonly never: string
}

function readAllow(text: string): RuleReading | Never {
  if (text.includes('://')) return { never: 'images are named without a scheme' }
  const { first, path } = splitRule(text)
  if (text.includes('*')) return readGlob(text, first, path)
  if (path === undefined ? isShortName(first) : !looksLikeHost(first)) return withoutRegistry
  const read = readHost(first)
  if ('problem' in read) return { never: read.problem }
  return path === undefined ? readHostAlone(text, read.host) : readPath(read.host, path)
}

const withoutRegistry: Never = {
  never: 'images are judged by their full names, which begin with the registry',
}

function readHostAlone(text: string, host: string): RuleReading {
  const [name, port] = splitPort(host)
  const isAnyPort =
    port === '' && (name === 'localhost' || isIP(name.replaceAll(/[[\]]/g, '')) !== 0)
  const forms: RuleForm[] = [{ kind: 'subtree', parts: [host], isAnyPort }]
  if (port === '' || /[.[]|^localhost$/.test(name)) return { forms }
  const reason = `it is read as a registry at port ${port}; for that write "${text}/"`
  return { forms, problem: { kind: 'unclear', reason, meant: `docker.io/library/${text}` } }
}

const withoutOwner: Never = { never: 'images of docker.io have two parts at least' }

function readPath(host: string, path: string): RuleReading | Never {
  const { name, suffix } = cutSuffix(path)
  if (suffix !== '') return readSuffix(host, name, suffix)
  if (path === '') return one({ kind: 'start', parts: [host], text: '' })
  const isOpen = /[/._-]$/.test(name)
  if (!isRepositoryName(isOpen ? `${name}x` : name)) return wrongName(name)
  const { parts, last } = cutLast(name)
  if (isOpen) return one({ kind: 'start', parts: [host, ...parts], text: last })
  const form = { kind: 'subtree', parts: [host, ...parts, last], isAnyPort: false } as const
  if (!isHubOwner(host, name)) return one(form)
  const reason = `it is read as a user of Docker Hub; for that write "${host}/${name}/"`
  const meant = `${host}/library/${name}`
  return { forms: [form], problem: { kind: 'unclear', reason, meant } }
}

function readSuffix(host: string, name: string, suffix: string): RuleReading | Never {
  if (!isRepositoryName(name)) return wrongName(name)
  if (isHubOwner(host, name)) return withoutOwner
  const { parts, last } = cutLast(name)
  const at = (kind: 'start' | 'exact', text: string) =>
    one({ kind, parts: [host, ...parts], text: last + text })
  const digestAt = suffix.indexOf('@')
  if (digestAt < 0) {
    const tag = suffix.slice(1)
    if (tag === '' || (/[._-]$/.test(tag) && isTag(`${tag}x`))) return at('start', suffix)
    return isTag(tag) ? at('exact', suffix) : { never: 'its tag is none' }
  }
  const digest = suffix.slice(digestAt + 1)
  // Beside a digest a tag means nothing to a node.
  if (isDigest(digest)) return at('exact', `@${digest}`)
  const isAnyDigest = digestAt === 0 && /^(?:sha256:|sha512:)?$/.test(digest)
  return isAnyDigest ? at('start', suffix) : { never: 'its digest is not complete' }
}

function readGlob(text: string, first: string, path: string | undefined): RuleReading | Never {
  // Whatever is wrong with it, a star that means nothing is reported first.
  parseImageGlob(text)
  const read = readGlobHost(first, path)
  if ('never' in read) return read
  const { name } = cutSuffix(path ?? '')
  const [odd] = /[^a-z0-9._/*-]/.exec(name) ?? []
  if (odd !== undefined) return { never: `no repository has "${odd}" in its name` }
  if (isHubOwner(read.host, name) && name !== '**') return withoutOwner
  const normal = path === undefined ? read.host : `${read.host}/${path}`
  return one({ kind: 'glob', glob: parseImageGlob(normal), text: normal })
}

/** A registry with a star in it is taken as it is, another one in its normal spelling. */
function readGlobHost(first: string, path: string | undefined): { readonly host: string } | Never {
  if (first.startsWith('**')) return { host: first }
  if (path === undefined ? isShortName(first) : !looksLikeHost(first) && !first.includes('*')) {
    return withoutRegistry
  }
  if (first.includes('*')) {
    const isHost = /^[a-z0-9._*:[\]-]*?(?::[\d*]+)?$/i.test(first)
    return isHost ? { host: first.toLowerCase() } : { never: 'its registry is no host name' }
  }
  const read = readHost(first)
  return 'host' in read ? read : { never: read.problem }
}

function one(form: RuleForm): RuleReading {
  return { forms: [form] }
}

function wrongName(name: string): Never {
  const isUpper = name !== name.toLowerCase()
  return { never: isUpper ? 'repositories are lower case' : `"${name}" is no repository's name` }
}
