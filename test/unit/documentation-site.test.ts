// The documentation's site is whole: every page is there, every link and anchor of every page leads somewhere in
// it, and nothing is asked of another host.

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { after, before, test } from 'node:test'
import { makeSite } from '../../scripts/site/site.ts'
import { documentationRoot, readPages } from '../support/documentation.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'

let directory: TemporaryDirectory
let pages: Map<string, string>

before(async () => {
  directory = await temporaryDirectory()
  await makeSite(documentationRoot, join(directory.path, 'site'))
  const paths = globSync('**/*.html', { cwd: join(directory.path, 'site') })
  const read = (path: string) => readFileSync(join(directory.path, 'site', path), 'utf8')
  pages = new Map(paths.map((path) => [path, read(path)]))
})
after(() => directory?.[Symbol.asyncDispose]())

const attributes = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(` ${name}="([^"]*)"`, 'g'))].map(([, value = '']) => value)

test('every page is on the site', () => {
  const expected = readPages(['docs/*.md', 'docs/decisions/*.md', 'CHANGELOG.md'])
  const missing = expected.filter(({ path }) => !pages.has(path.replace(/\.md$/, '.html')))
  assert.deepEqual(missing, [])
  assert.ok(pages.has('index.html'))
})

test('every link and anchor leads somewhere', () => {
  const dead = [...pages].flatMap(([page, html]) =>
    attributes(html, 'href')
      .filter((href) => !/^[a-z]+:/.test(href) && !leads(page, href))
      .map((href) => `${page}: ${href}`),
  )
  assert.deepEqual(dead, [])
})

function leads(page: string, href: string): boolean {
  const [path = '', anchor] = href.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), path))
  if (anchor === undefined) return existsSync(join(directory.path, 'site', target))
  return attributes(pages.get(target) ?? '', 'id').includes(anchor)
}

test('the navigation has what leads to pages, and nothing else', () => {
  const [, navigation = ''] = /<nav[^>]*>(.*?)<\/nav>/s.exec(pages.get('index.html') ?? '') ?? []
  assert.match(navigation, /<p>To begin<\/p>\n<ul><li><a href="\.\/docs\/quick-start\.html"/)
  assert.doesNotMatch(navigation, /<p>[^<]*<\/p>\n<ul><\/ul>/)
})

test('nothing is loaded from another host', () => {
  const loaded = [...pages.values()].flatMap((html) => attributes(html, 'src'))
  assert.deepEqual(
    loaded.filter((source) => /^(?:[a-z]+:|\/)/.test(source)),
    [],
  )
})

test('the comments for tests are not shown', () => {
  assert.deepEqual(
    [...pages].filter(([, html]) => html.includes('<!-- ')),
    [],
  )
})
