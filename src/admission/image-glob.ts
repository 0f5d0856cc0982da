/**
 * Globs over image names: `*` stands for characters within one part of a name, `**` for any number of
 * whole parts. Matching is greedy and goes back at most to the last star, so its time is bounded by
 * the product of both lengths whatever an image is called.
 */
import { matchesName, type NamePattern, parseNamePattern } from '../lib/name-pattern.ts'

/** A rule that is no rule: the configuration is refused. */
export class InvalidRule extends Error {
  override readonly name = 'InvalidRule'
}

/** Any number of parts, none as well. */
export const anyParts = Symbol('**')
/** One part, whatever it is. */
export const onePart = Symbol('one part')

export type Part = NamePattern | typeof anyParts | typeof onePart

export interface ImageGlob {
  /** Of `host/repository`. */
  readonly parts: readonly Part[]
  /** Of `:tag` or `@digest`, with its separator; absent when any will do. */
  readonly suffix?: NamePattern
  /** Whether a star may be a port, too. */
  readonly isOpen: boolean
}

/** What a glob is held against. */
export interface GlobTarget {
  /** Host, then the segments of the repository. */
  readonly parts: readonly string[]
  /** `:tag`, `@digest` or `:tag@digest`. */
  readonly suffix: string
}

/** For all of a name, and its tag or digest where the glob has one. @throws InvalidRule */
export function parseImageGlob(text: string): ImageGlob {
  const { named, suffix } = splitGlob(text)
  const parts = partsOf(named)
  const isHostAlone = named.length === 1 && named[0] !== '**'
  if (isHostAlone) parts.push(anyParts, onePart)
  return { parts, ...(suffix !== undefined && { suffix: parseNamePattern(suffix) }), isOpen: false }
}

/** For whatever a name begins with. @throws InvalidRule */
export function parseOpenGlob(text: string): ImageGlob {
  const { named, suffix } = splitGlob(text)
  const parts = partsOf(named)
  if (suffix !== undefined)
    return { parts, suffix: [...parseNamePattern(suffix), ''], isOpen: true }
  const last = parts.at(-1)
  if (typeof last === 'object') parts.splice(-1, 1, [...last, ''])
  return { parts: [...parts, anyParts], isOpen: true }
}

/** The parts of the name, and what follows from `:` or `@`; the colon of a host is a port's. */
function splitGlob(text: string): { named: string[]; suffix?: string } {
  const written = text.split('/')
  const last = written.pop() ?? ''
  const isHost = written.length === 0 && !last.startsWith('**')
  const at = isHost ? -1 : last.search(/[:@]/)
  if (at < 0) return { named: [...written, last] }
  return { named: [...written, last.slice(0, at)], suffix: last.slice(at) }
}

function partsOf(named: readonly string[]): Part[] {
  return named.flatMap((part, index): Part[] => {
    const isLast = index === named.length - 1
    // A name that ends in `/` or `**` goes on: at least one part has to come.
    if (part === '**') return isLast ? [anyParts, onePart] : [anyParts]
    if (part === '' && isLast) return [anyParts, onePart]
    if (!part.includes('**')) return [parseNamePattern(part)]
    throw new InvalidRule(
      '"**" stands for whole parts of a name, so there has to be "/" on both sides of it; ' +
        'within a part write "*"',
    )
  })
}

export function fitsGlob(glob: ImageGlob, target: GlobTarget): boolean {
  const { suffix } = glob
  return (suffix === undefined || matchesName(suffix, target.suffix)) && fitsGlobName(glob, target)
}

/** Whether the glob would fit if the tag or digest were the right one. */
export function fitsGlobName(glob: ImageGlob, target: GlobTarget): boolean {
  return fitsParts(glob, target.parts)
}

/** Leading parts without stars: whatever fits begins with them. */
export function literalParts({ parts }: ImageGlob): string[] {
  const end = parts.findIndex((part) => typeof part === 'symbol' || part.length > 1)
  return (parts.slice(0, end < 0 ? parts.length : end) as NamePattern[]).flat()
}

/** A star is no port: `*.example.com` is not for `a.example.com:8080`. */
function fitsPart(pattern: Part | undefined, text: string, isOpen: boolean): boolean {
  if (typeof pattern !== 'object') return pattern === onePart
  if (!matchesName(pattern, text)) return false
  return isOpen || !text.includes(':') || pattern.some((piece) => piece.includes(':'))
}

function fitsParts({ parts, isOpen }: ImageGlob, text: readonly string[]): boolean {
  let at = 0
  let index = 0
  /** Where to go on when the last `**` has to take one part more. */
  let retry: { readonly at: number; readonly index: number } | undefined
  while (index < text.length) {
    if (parts[at] === anyParts) {
      at += 1
      retry = { at, index }
    } else if (fitsPart(parts[at], text[index] ?? '', isOpen)) {
      at += 1
      index += 1
    } else if (retry !== undefined) {
      retry = { at: retry.at, index: retry.index + 1 }
      ;({ at, index } = retry)
    } else {
      return false
    }
  }
  while (parts[at] === anyParts) at += 1
  return at === parts.length
}
