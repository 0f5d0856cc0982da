// What the documentation shows and where it points: links lead to something, anchors to headings, and what is shown
// of a file is one that its reader would take.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, test } from 'node:test'
import { marked, type Token, type Tokens } from 'marked'
import { parse as parseToml } from 'smol-toml'
import { parse as parseYaml, parseAllDocuments } from 'yaml'
import { listHeadings } from '../../scripts/site/headings.ts'
import { parseConfigFile } from '../../src/config/config-file.ts'
import { schemaKeys } from '../../src/config/schema-keys.ts'
import { validateLayer } from '../../src/config/validate.ts'
import { type Block, documentationRoot, listBlocks, readPages } from '../support/documentation.ts'

const guides = readPages()
const others = readPages(['CHANGELOG.md', 'charts/trow/README.md', 'docs/decisions/*.md'])
const pages = [...guides, ...others]

function linksOf(tokens: readonly Token[]): string[] {
  const found: string[] = []
  void marked.walkTokens([...tokens], (token) => {
    if (token.type === 'link') found.push((token as Tokens.Link).href)
  })
  return found
}

function anchorsOf(path: string): string[] {
  const text = readFileSync(join(documentationRoot, path), 'utf8')
  return listHeadings(marked.lexer(text)).map(({ anchor }) => anchor)
}

/** What is wrong with a link of that page. */
function deadEnd(page: string, href: string): string | undefined {
  const [path = '', anchor] = href.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), path))
  if (!existsSync(join(documentationRoot, target))) return `${href}: no such file`
  if (anchor === undefined || anchorsOf(target).includes(anchor)) return undefined
  return `${href}: no such heading`
}

describe('links', () => {
  for (const { path, tokens } of pages) {
    test(`of ${path} lead somewhere`, () => {
      const local = linksOf(tokens).filter((href) => !/^[a-z]+:/.test(href))
      assert.deepEqual(
        local.map((href) => deadEnd(path, href)).filter((problem) => problem !== undefined),
        [],
      )
    })
  }

  test('of README.md lead to every page', () => {
    const linked = guides
      .filter(({ path }) => path === 'README.md')
      .flatMap((p) => linksOf(p.tokens))
    const names = guides.map(({ path }) => path).filter((path) => path !== 'README.md')
    assert.deepEqual(
      names.filter((path) => !linked.includes(path)),
      [],
    )
  })
})

const blocks = guides.flatMap(listBlocks)
const inLanguage = (language: string): Block[] =>
  blocks.filter((block) => block.language === language)
const titleOf = ({ page, text }: Block): string => `${page}: ${text.split('\n', 1)[0]}`

const ownKeys = new Set(schemaKeys.map(({ path }) => path.split(/[.[]/, 1)[0]))
const valuesFile = readFileSync(join(documentationRoot, 'charts/trow/values.yaml'), 'utf8')
const values = parseYaml(valuesFile) as Readonly<Record<string, unknown>>

/** Of files of other programs, which Trow's guides show: by their first key. */
const foreignKeys = ['apiVersion', 'mirrors', 'ignoreDifferences', 'machine']

function problemsOf(text: string): unknown[] {
  const { layer, problems } = parseConfigFile('example', text)
  return [...problems, ...validateLayer(layer)]
}

/** Paths of a file of values that the chart does not have. A section without defaults takes anything. */
function unknownValues(given: unknown, known: unknown, path: readonly string[] = []): string[] {
  if (!isSection(given) || !isSection(known) || Object.keys(known).length === 0) return []
  return Object.entries(given).flatMap(([key, value]) =>
    key in known ? unknownValues(value, known[key], [...path, key]) : [[...path, key].join('.')],
  )
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

describe('examples of files', () => {
  test('there are many', () => assert.ok(inLanguage('yaml').length > 30))

  for (const block of inLanguage('yaml')) {
    test(titleOf(block), () => {
      const documents = parseAllDocuments(block.text)
      assert.deepEqual(
        documents.flatMap(({ errors }) => errors),
        [],
      )
      const [first] = documents.map((document) => document.toJS() as Record<string, unknown>)
      const keys = Object.keys(first ?? {})
      if (keys.every((key) => ownKeys.has(key))) assert.deepEqual(problemsOf(block.text), [])
      else if (keys.every((key) => key in values)) {
        assert.deepEqual(unknownValues(first, values), [])
      } else
        assert.ok(foreignKeys.includes(keys[0] ?? ''), `whose file is this? ${keys.join(', ')}`)
    })
  }

  for (const block of inLanguage('toml')) {
    test(titleOf(block), () => void parseToml(block.text))
  }
  for (const block of inLanguage('json')) {
    test(titleOf(block), () => void JSON.parse(block.text))
  }
})
