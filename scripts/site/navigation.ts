// The site's navigation is the list of documents in the README: paragraphs of its section "Documentation", each with
// what the links are for before the colon. A paragraph without links is for readers of the README only.

import { marked, type Token, type Tokens } from 'marked'

export interface NavigationGroup {
  readonly title: string
  readonly links: readonly { readonly href: string; readonly text: string }[]
}

export function readNavigation(readme: readonly Token[]): NavigationGroup[] {
  const start = readme.findIndex(
    (token) => token.type === 'heading' && (token as Tokens.Heading).text === 'Documentation',
  )
  const rest = readme.slice(start + 1)
  const end = rest.findIndex(({ type }) => type === 'heading')
  return rest
    .slice(0, end === -1 ? undefined : end)
    .filter((token): token is Tokens.Paragraph => token.type === 'paragraph')
    .map((paragraph) => ({
      title: paragraph.text.split(':', 1)[0] ?? '',
      links: linksOf(paragraph),
    }))
    .filter(({ links }) => links.length > 0)
}

function linksOf(paragraph: Tokens.Paragraph): { href: string; text: string }[] {
  const links: { href: string; text: string }[] = []
  void marked.walkTokens([paragraph], (token) => {
    if (token.type !== 'link') return
    const { href, text } = token as Tokens.Link
    links.push({ href, text: text.slice(0, 1).toUpperCase() + text.slice(1) })
  })
  return links
}
