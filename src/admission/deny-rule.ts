/**
 * Reads a rule of `deny`: it is for every image whose name begins with it, so `quay.io/app` is for
 * `quay.io/app-evil`, too. A rule that can be read in several ways counts in all of them: as it is
 * written, and in the full and normal spelling of what it names.
 */
import { isIPv4 } from 'node:net'
import { isDigest } from '../oci/digest.ts'
import { dockerHub } from '../oci/image-reference.ts'
import { parseOpenGlob } from './image-glob.ts'
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
export function readDenyRule(text: string): RuleReading {
  const isGlob = text.includes('*')
  const starts = [...new Set(startsOf(text).flatMap(withoutMeaninglessTag))].filter(canBegin)
  if (isGlob) parseOpenGlob(text)
  const forms = starts.map((start): RuleForm => {
    if (isGlob) return { kind: 'glob', glob: parseOpenGlob(start), text: start }
    const { parts, last } = cutLast(start)
    return { kind: 'start', parts, text: last }
  })
  if (forms.length > 0) return { forms }
  const meant = probablyMeant(text, (other) => startsOf(other).some(canBegin))
  const reason = 'no image has a name that begins so'
  const problem = { kind: 'never', reason } as const
  return { forms, problem: meant === undefined ? problem : { ...problem, meant } }
}

/** What names may begin with that the rule means, in their normal spelling. */
function startsOf(text: string): string[] {
  const { first, path } = splitRule(text)
  const written = first.toLowerCase() + (path === undefined ? '' : `/${path}`)
  if (path === undefined) return [written, ...startsOfName(first)]
  if (!looksLikeHost(first)) {
    return first.includes('*') ? [written] : [written, `${dockerHub}/${text}`]
  }
  const read = readHost(first)
  if ('problem' in read) return [written]
  const normal = `${read.host}/${path}`
  return isHubOwner(read.host, path) ? [normal, `${dockerHub}/library/${path}`] : [normal]
}

/** Of text without a slash: a registry, or an image of Docker Hub. */
function startsOfName(name: string): string[] {
  const read = readHost(name)
  const isOtherSpelling = 'host' in read && looksLikeHost(name) && read.host !== name.toLowerCase()
  // An address stands for all of its ports, as it does in `allow`.
  const end = 'host' in read && isIPv4(read.host) ? '' : '/'
  const registry = isOtherSpelling ? [`${read.host}${end}`] : []
  // A star alone is any name already; before a tag it is an image rather than a registry.
  if (/^\*\*?(?:[:@]|$)/.test(name)) return [name.replace(/^\*+/, '**')]
  const isImage = isShortName(name) || /^[^.:@]+:\d+$/.test(name)
  return isImage ? [...registry, `${dockerHub}/library/${name}`] : registry
}

/** Beside a digest a tag means nothing to a node: the rule is for that digest under any tag. */
function withoutMeaninglessTag(start: string): string[] {
  const { name, suffix } = cutSuffix(start)
  const digest = suffix.slice(suffix.indexOf('@') + 1)
  return suffix.startsWith(':') && isDigest(digest) ? [start, `${name}@${digest}`] : [start]
}

/** By the characters that names have; an empty part, as after a scheme, is in none. */
function canBegin(start: string): boolean {
  const { name, suffix } = cutSuffix(start)
  if (!/^[\w.:@*[\]-]*$/.test(suffix)) return false
  return /^[a-z0-9._*:[\]-]+(?:\/[a-z0-9._*/-]*)?$/.test(name) && !name.includes('//')
}
