/**
 * Finds what somebody meant who wrote a rule that fits no image: the same without what images never
 * have, such as a scheme or capitals, or with the parts of Docker Hub's names that people leave out.
 */
import { dockerHub } from '../oci/image-reference.ts'
import {
  cutSuffix,
  isHubOwner,
  isShortName,
  looksLikeHost,
  readHost,
  splitRule,
} from './rule-text.ts'

/** @param fits whether a rule can fit images. @returns undefined when nothing better comes to mind. */
export function probablyMeant(text: string, fits: (rule: string) => boolean): string | undefined {
  const guess = inFull(inLowerCase(withoutDecoration(text)))
  const candidates = [guess, withoutTag(guess)]
  return candidates.find((candidate) => candidate !== text && isRule(candidate, fits))
}

function isRule(candidate: string, fits: (rule: string) => boolean): boolean {
  try {
    return candidate !== '' && fits(candidate)
  } catch {
    return false
  }
}

function withoutDecoration(text: string): string {
  const plain = text
    .trim()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/^\/+/, '')
    .replaceAll(/\/{2,}/g, '/')
  // The first numbers of addresses.
  if (/^\d+(?:\.\d+){0,2}\.?$/.test(plain)) return `${plain.replace(/\.$/, '')}.*`
  // The end of a host: `quay.io:` and `quay.io.` are `quay.io/`.
  return plain.includes('/') ? plain : plain.replace(/^([^*]*\.[^*]*?)[.:_-]+$/, '$1/')
}

/** A tag may have capitals. */
function inLowerCase(text: string): string {
  const { name, suffix } = cutSuffix(text)
  return name.toLowerCase() + suffix
}

function inFull(text: string): string {
  const { first, path } = splitRule(text)
  if (text === '*' || /^\*?[:@]/.test(text)) return `**${text.replace(/^\*/, '')}`
  if (path === undefined) return isShortName(first) ? `${dockerHub}/library/${text}` : text
  if (!looksLikeHost(first)) return first.includes('*') ? text : `${dockerHub}/${text}`
  const read = readHost(first)
  const isOwner = 'host' in read && isHubOwner(read.host, path)
  return isOwner ? `${dockerHub}/library/${path}` : text
}

/** Of `app:1.2@` and `app:1.2@sha256:12` the digest counts. */
function withoutTag(text: string): string {
  const { name, suffix } = cutSuffix(text)
  return suffix.includes('@') ? `${name}@` : text
}
