/**
 * Finds `request.uid` and `apiVersion` in the text of a review that is incomplete or no JSON to its
 * end, because without the uid a refusal counts as a failure of the webhook, which some let pass. A
 * `uid` elsewhere, of the user or the object, is not taken for it.
 */
import { readHead, type ReviewHead } from './admission-request.ts'

/** Deeper nesting before the uid is nothing that the API server sends. */
const depthMax = 100

export function findReviewHead(text: string): ReviewHead {
  let uid: string | undefined
  let apiVersion: string | undefined
  for (const { keys, value } of stringFields(text)) {
    const [first, second] = keys
    if (keys.length === 1 && first === 'apiVersion') apiVersion = value
    if (keys.length === 2 && first === 'request' && second === 'uid') uid = value
    if (uid !== undefined && apiVersion !== undefined) break
  }
  return readHead(uid, apiVersion)
}

interface StringField {
  /** From the outermost object to the field; null for a list on the way. */
  readonly keys: readonly (string | null)[]
  readonly value: string
}

/** The fields whose values are strings, as far as the text is readable. */
function* stringFields(text: string): Generator<StringField> {
  const open: (string | null)[] = []
  let isKey = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{' || character === '[') {
      if (open.length >= depthMax) return
      open.push(character === '{' ? '' : null)
      isKey = character === '{'
    } else if (character === '}' || character === ']') {
      open.pop()
    } else if (character === ',') {
      isKey = open.at(-1) !== null
    } else if (character === '"') {
      const end = endOfString(text, at)
      const value = end === undefined ? undefined : parseString(text.slice(at, end))
      if (end === undefined || value === undefined) return
      if (isKey) open[open.length - 1] = value
      else yield { keys: open, value }
      isKey = false
      at = end - 1
    }
  }
}

/** @returns the index behind the closing quote; undefined when there is none. */
function endOfString(text: string, start: number): number | undefined {
  let at = start + 1
  for (;;) {
    const quote = text.indexOf('"', at)
    if (quote < 0) return undefined
    let backslashes = 0
    while (text[quote - 1 - backslashes] === '\\') backslashes += 1
    if (backslashes % 2 === 0) return quote + 1
    at = quote + 1
  }
}

function parseString(literal: string): string | undefined {
  try {
    return JSON.parse(literal) as string
  } catch {
    return undefined
  }
}
