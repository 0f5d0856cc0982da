// The anchors of headings, as GitHub makes them: links in the documentation are written for it, and are to
// work on the site as well.

import { marked, type Token, type Tokens } from 'marked'

export interface Heading {
  readonly depth: number
  readonly text: string
  readonly anchor: string
}

/** All of a page, in order. */
export function listHeadings(tokens: readonly Token[]): Heading[] {
  const seen = new Map<string, number>()
  return tokens
    .filter((token): token is Tokens.Heading => token.type === 'heading')
    .map((token) => {
      const text = plainText(token.tokens)
      const anchor = anchorOf(text)
      const count = seen.get(anchor) ?? 0
      seen.set(anchor, count + 1)
      return { depth: token.depth, text, anchor: count === 0 ? anchor : `${anchor}-${count}` }
    })
}

/** What a reader sees of a heading, without its markup. */
function plainText(tokens: readonly Token[]): string {
  const parts: string[] = []
  void marked.walkTokens([...tokens], (token) => {
    const hasInner = 'tokens' in token && token.tokens !== undefined
    if (!hasInner && 'text' in token) parts.push(String(token.text))
  })
  return parts.join('')
}

function anchorOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}
