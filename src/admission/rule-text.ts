/** The text of a rule taken apart: its registry, the path below that, and where the two are missing. */
import { OciError } from '../oci/errors.ts'
import { dockerHub, parseRegistryHost } from '../oci/image-reference.ts'
import { normalHost } from './judged-image.ts'

export interface RuleText {
  /** Before the first slash. */
  readonly first: string
  /** After it; undefined when there is none. */
  readonly path: string | undefined
}

export function splitRule(text: string): RuleText {
  const slash = text.indexOf('/')
  return slash < 0
    ? { first: text, path: undefined }
    : { first: text.slice(0, slash), path: text.slice(slash + 1) }
}

/** By the rule for images: a dot, a colon, or `localhost`. A star may stand for any of them. */
export function looksLikeHost(first: string): boolean {
  return /[.:]/.test(first) || first.toLowerCase() === 'localhost'
}

/** Text without a slash that is an image of Docker Hub and no host: `nginx`, `nginx:1.27`. */
export function isShortName(first: string): boolean {
  const [, name] = /^([^.:@[\]]+)(?:[:@](?!\d+$).*)?$/s.exec(first) ?? []
  return name !== undefined && name.toLowerCase() !== 'localhost'
}

/** @returns the host in its normal spelling, or what is wrong with it. */
export function readHost(first: string): { readonly host: string } | { readonly problem: string } {
  try {
    return { host: normalHost(parseRegistryHost(first)) }
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    return { problem: error.message }
  }
}

/** Docker Hub's images have two parts at least; one alone is a user or organisation. */
export function isHubOwner(host: string, path: string): boolean {
  return host === dockerHub && path !== '' && !path.includes('/')
}

/** `app:1.2` is `app` and `:1.2`; the last part of a path may have a tag or a digest. */
export function cutSuffix(path: string): { readonly name: string; readonly suffix: string } {
  const at = path.slice(path.lastIndexOf('/') + 1).search(/[:@]/)
  const start = at < 0 ? path.length : path.lastIndexOf('/') + 1 + at
  return { name: path.slice(0, start), suffix: path.slice(start) }
}

/** A name's parts, the last of them apart. */
export function cutLast(name: string): { readonly parts: string[]; readonly last: string } {
  const parts = name.split('/')
  const last = parts.pop() ?? ''
  return { parts, last }
}
