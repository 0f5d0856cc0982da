/**
 * Rules as regular expressions (RE2, without anything that JavaScript reads otherwise), for policies
 * that others enforce. They are matched with `host/repository:tag` or `host/repository@digest`; those
 * of `deny` also with `host/repository:tag@digest`.
 */
import { anyParts, type ImageGlob, onePart, type Part } from './image-glob.ts'
import type { NamePattern } from '../lib/name-pattern.ts'
import type { RuleForm } from './rule.ts'

export function expressionOf(form: RuleForm): string {
  switch (form.kind) {
    case 'subtree': {
      const name = escape(form.parts.join('/'))
      if (form.isAnyPort) return `^${name}(?::[0-9]+)?/`
      return form.parts.length === 1 ? `^${name}/` : `^${name}[/:@]`
    }
    case 'start':
      return `^${escape([...form.parts, form.text].join('/'))}`
    case 'exact':
      return `^${escape([...form.parts, form.text].join('/'))}$`
    case 'glob':
      return globExpression(form.glob)
  }
}

function globExpression({ parts, suffix, isOpen }: ImageGlob): string {
  const isPrefix = isOpen && suffix === undefined
  // A prefix ends in any number of parts, for which nothing has to be said.
  const named = isPrefix ? parts.slice(0, -1) : parts
  const name = named
    .map((part, index) => partExpression(part, index, named.length, isOpen))
    .join('')
  if (suffix !== undefined) return `^${name}${join(suffix, '.*')}$`
  return isPrefix ? `^${name}` : `^${name}[:@]`
}

/** With the slash behind it, unless it is the last one. */
function partExpression(part: Part, index: number, count: number, isOpen: boolean): string {
  const isLast = index === count - 1
  if (part === anyParts) return '(?:[^/]+/)*'
  const slash = isLast ? '' : '/'
  // The last part ends before a tag or digest; only the first one, the host, has a colon otherwise.
  if (part === onePart) return `${isLast ? '[^/:@]+' : '[^/]+'}${slash}`
  const isPortNamed = part.some((piece) => piece.includes(':'))
  return `${join(part, isOpen || isPortNamed ? '[^/]*' : '[^/:@]*')}${slash}`
}

function join(pattern: NamePattern, star: string): string {
  return pattern.map(escape).join(star)
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, (character) => `\\${character}`)
}
