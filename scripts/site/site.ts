// The documentation as a site: an HTML file for each Markdown file, at the same path, so that links between them
// stay what they are. It needs no server and asks nothing of other hosts: it is read from a disk as well.

import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, normalize, relative } from 'node:path'
import { marked, type Token, type Tokens } from 'marked'
import { listHeadings } from './headings.ts'
import { type NavigationGroup, readNavigation } from './navigation.ts'
import { htmlPath, type PageSource, renderPage } from './page.ts'

const assets = ['site.css', 'search.js']

/** @returns how many pages there are. */
export async function makeSite(root: string, target: string): Promise<number> {
  const { pages, files, directories } = await collect(root)
  const readme = pages.find(({ path }) => path === 'README.md')
  const navigation = readNavigation(readme?.tokens ?? [])
  await rm(target, { recursive: true, force: true })
  for (const page of pages) await put(target, htmlPath(page.path), renderPage(page, navigation))
  for (const directory of directories) await putListing(root, target, directory, navigation)
  for (const file of files) await copy(join(root, file), join(target, file))
  for (const name of assets) await copy(join(import.meta.dirname, name), join(target, name))
  await put(target, 'search-index.js', `searchIndex = ${JSON.stringify(searchEntries(pages))}\n`)
  return pages.length
}

interface Found {
  readonly pages: PageSource[]
  /** Linked files that are no pages. */
  readonly files: string[]
  readonly directories: string[]
}

/** The README and all that can be reached from it. */
async function collect(root: string): Promise<Found> {
  const found: Found = { pages: [], files: [], directories: [] }
  const waiting = ['README.md']
  const seen = new Set(waiting)
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    for (const next of await visit(root, path, found)) {
      if (!seen.has(next)) waiting.push(next)
      seen.add(next)
    }
  }
  return found
}

/** @returns where it leads. */
async function visit(root: string, path: string, found: Found): Promise<string[]> {
  const absolute = join(root, path)
  if ((await stat(absolute)).isDirectory()) {
    found.directories.push(path)
    return await listFiles(root, path)
  }
  if (!path.endsWith('.md')) {
    found.files.push(path)
    return []
  }
  const tokens = marked.lexer(await readFile(absolute, 'utf8'))
  found.pages.push({ path, tokens })
  return localLinks(tokens).map((link) => normalize(join(dirname(path), link)))
}

function localLinks(tokens: readonly Token[]): string[] {
  const links: string[] = []
  void marked.walkTokens([...tokens], (token) => {
    if (token.type !== 'link') return
    const [path = ''] = (token as Tokens.Link).href.split('#')
    if (path !== '' && !path.includes(':')) links.push(path.replace(/\/$/, ''))
  })
  return links
}

async function listFiles(root: string, directory: string): Promise<string[]> {
  const entries = await readdir(join(root, directory), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .toSorted()
}

async function putListing(
  root: string,
  target: string,
  directory: string,
  navigation: readonly NavigationGroup[],
): Promise<void> {
  const lines = (await listFiles(root, directory)).map((path) => {
    const name = relative(directory, path)
    return `- [${name}](${name})`
  })
  const tokens = marked.lexer(`# ${directory}\n\n${lines.join('\n')}\n`)
  const path = join(directory, 'index.md')
  await put(target, htmlPath(path), renderPage({ path, tokens }, navigation))
}

/** For search.js: page, title of the page, heading, anchor. */
function searchEntries(pages: readonly PageSource[]): string[][] {
  return pages.flatMap(({ path, tokens }) => {
    const headings = listHeadings(tokens)
    const title = headings[0]?.text ?? path
    return headings.map(({ text, anchor }) => [htmlPath(path), title, text, anchor])
  })
}

async function put(target: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(target, path)), { recursive: true })
  await writeFile(join(target, path), text)
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await copyFile(from, to)
}
