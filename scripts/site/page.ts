// One page of the site: the document between navigation and its own headings.

import { dirname, join, relative } from 'node:path'
import { Marked, type Token, type Tokens } from 'marked'
import { type Heading, listHeadings } from './headings.ts'
import type { NavigationGroup } from './navigation.ts'

export interface PageSource {
  /** `docs/cli.md` */
  readonly path: string
  readonly tokens: readonly Token[]
}

/** `docs/cli.html`; the README is the site's first page. */
export function htmlPath(path: string): string {
  return path === 'README.md' ? 'index.html' : path.replace(/\.md$/, '.html')
}

export function renderPage(page: PageSource, navigation: readonly NavigationGroup[]): string {
  const headings = listHeadings(page.tokens)
  const title = escapeHtml(headings[0]?.text ?? page.path)
  const up = relative(dirname(htmlPath(page.path)), '.') || '.'
  return `<!doctype html>
<html lang="en" data-up="${up}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title === 'Trow' ? title : `${title} · Trow`}</title>
<link rel="stylesheet" href="${up}/site.css">
<script defer src="${up}/search-index.js"></script>
<script defer src="${up}/search.js"></script>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<details class="side" open>
<summary>Trow</summary>
<nav aria-label="Pages">
<search><input id="search" type="search" placeholder="Search headings" aria-label="Search headings"><ul id="found"></ul></search>
${navigationList(page.path, up, navigation)}
</nav>
</details>
<main id="content">
${contentsOf(headings)}
${renderBody(page, headings)}
</main>
</body>
</html>
`
}

function navigationList(path: string, up: string, navigation: readonly NavigationGroup[]): string {
  const start = navigationLink({ href: 'README.md', text: 'Overview' }, path, up)
  const groups = navigation.map(({ title, links }) => {
    const items = links.map((link) => `<li>${navigationLink(link, path, up)}</li>`)
    return `<p>${escapeHtml(title)}</p>\n<ul>${items.join('\n')}</ul>`
  })
  return [`<ul><li>${start}</li></ul>`, ...groups].join('\n')
}

function navigationLink(
  { href, text }: { href: string; text: string },
  path: string,
  up: string,
): string {
  const current = href === path ? ' aria-current="page"' : ''
  return `<a href="${up}/${siteHref(href)}"${current}>${escapeHtml(text)}</a>`
}

/** What is on the page, for those that are long. */
function contentsOf(headings: readonly Heading[]): string {
  const listed = headings.filter(({ depth }) => depth === 2)
  if (listed.length < 4) return ''
  const items = listed.map(
    ({ text, anchor }) => `<li><a href="#${anchor}">${escapeHtml(text)}</a></li>`,
  )
  return `<details class="contents"><summary>On this page</summary><ul>${items.join('')}</ul></details>`
}

function renderBody({ tokens }: PageSource, headings: readonly Heading[]): string {
  const left = [...headings]
  const renderer = new Marked({
    renderer: {
      heading({ tokens: inner, depth }: Tokens.Heading): string {
        const anchor = left.shift()?.anchor ?? ''
        const link = `<a class="anchor" href="#${anchor}" aria-label="Link to this section">#</a>`
        return `<h${depth} id="${anchor}">${this.parser.parseInline(inner)} ${link}</h${depth}>\n`
      },
      link({ href, tokens: inner }: Tokens.Link): string {
        const target = /^[a-z]+:/.test(href) ? href : siteHref(href)
        return `<a href="${escapeHtml(target)}">${this.parser.parseInline(inner)}</a>`
      },
      // What is said to the tests is not for readers.
      html: ({ raw }: Tokens.HTML | Tokens.Tag): string => (raw.startsWith('<!--') ? '' : raw),
    },
  })
  return renderer
    .parser([...tokens])
    .replaceAll('<table>', '<div class="table"><table>')
    .replaceAll('</table>', '</table></div>')
}

/** A link between files of the project, as one between pages. */
function siteHref(href: string): string {
  const [path = '', anchor] = href.split('#')
  const isDirectory = path !== '' && !/\.[a-z]+$|LICENSE$/.test(path)
  const target = isDirectory ? join(path, 'index.html') : htmlPath(path)
  return anchor === undefined ? target : `${target}#${anchor}`
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
