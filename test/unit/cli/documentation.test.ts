// The documentation's command lines are those of the program: each one that is shown is understood, and each
// command and flag that there is has a line in docs/cli.md. Each is run by a test, or known not to be.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Command } from 'commander'
import { marked } from 'marked'
import { parseAllDocuments } from 'yaml'
import type { Host } from '../../../src/cli/host.ts'
import { makeProgram, asCommanderReads } from '../../../src/cli/program.ts'
import { commandsNotRun } from '../../support/commands-not-run.ts'
import {
  type Block,
  commandLines,
  documentationRoot,
  listBlocks,
  type Page,
  readPages,
  trowArguments,
} from '../../support/documentation.ts'

const host: Host = {
  environment: {},
  isTerminal: false,
  write: () => {},
  writeError: () => {},
  onSignal: () => {},
  onFatal: () => {},
  exit: () => {
    throw new Error('a command ran')
  },
}

const newProgram = () => makeProgram(host, () => Promise.reject(new Error('a command ran')))

/** The command that the arguments name, and those that are for it. */
function resolveCommand(args: readonly string[]): { command: Command; rest: readonly string[] } {
  let command = newProgram()
  let rest = args
  for (;;) {
    const inner = command.commands.find((known) => known.name() === rest[0])
    if (inner === undefined) break
    command = inner
    rest = rest.slice(1)
  }
  const serve = command.commands.find((known) => known.name() === 'serve')
  return { command: serve ?? command, rest }
}

/** What the program would say to these arguments; undefined if it would run. */
function refusal(args: readonly string[]): string | undefined {
  const { command, rest } = resolveCommand(asCommanderReads(args))
  if (rest.includes('--help') || rest.includes('--version')) return undefined
  try {
    const { operands, unknown } = command.parseOptions([...rest])
    if (unknown.length > 0) return `unknown: ${unknown.join(' ')}`
    const expected = command.registeredArguments
    const most = expected.some(({ variadic }) => variadic) ? Infinity : expected.length
    const least = expected.filter(({ required }) => required).length
    const fits = operands.length >= least && operands.length <= most
    return fits ? undefined : `${operands.length} arguments for ${command.name()}`
  } catch (error) {
    return String(error)
  }
}

/** A line of a synopsis has words that stand for others; only its flags can be looked at. */
function unknownFlags(args: readonly string[]): string[] {
  const { command, rest } = resolveCommand(args)
  return rest
    .map((word) => word.replaceAll(/[[\]]/g, ''))
    .filter((word) => {
      const known = command.options.some(({ long, short }) => word === long || word === short)
      return word.startsWith('-') && word !== '-' && !known
    })
}

/** What the containers of a pod give to the program. */
function containerArguments(text: string): string[][] {
  const pods = parseAllDocuments(text).map((document) => document.toJS() as Partial<Pod> | null)
  return pods.flatMap((pod) =>
    pod?.kind === 'Pod' ? (pod.spec?.containers ?? []).map(({ args }) => args) : [],
  )
}

interface Pod {
  readonly kind: string
  readonly spec: { readonly containers: readonly { readonly args: string[] }[] }
}

/** Commands between backticks. */
function commandSpans({ tokens }: Page): string[] {
  const found: string[] = []
  void marked.walkTokens([...tokens], (token) => {
    if (token.type === 'codespan' && /\btrow [a-z-]/.test(token.raw)) found.push(token.text)
  })
  return found
}

const pages = readPages()
const blocks = pages.flatMap(listBlocks)
const scripts = blocks.filter(({ language }) => language === 'sh')

/** Lines with a prompt of indented blocks, or those that begin with the program's name. */
const indented = blocks
  .filter(({ language }) => language === undefined)
  .flatMap(({ page, text }) =>
    text
      .split('\n')
      .filter((line) => /^(?:\$ )?trow (?!:)/.test(line))
      .map((line) => ({ page, line: line.replace(/^\$ /, '') })),
  )

const isSynopsis = (line: string): boolean => /\[[A-Zf-]|\.\.\.| [A-Z]{3,}(?= |$)/.test(line)

describe('command lines in the documentation', () => {
  test('there are many', () => assert.ok(scripts.length > 30 && indented.length > 20))

  for (const { page, text } of scripts) {
    for (const args of trowArguments(text)) {
      test(`${page}: trow ${args.join(' ')}`, () => assert.equal(refusal(args), undefined))
    }
  }

  for (const { page, line } of indented) {
    const [args = []] = trowArguments(line)
    test(`${page}: ${line}`, () => {
      if (isSynopsis(line)) assert.deepEqual(unknownFlags(args), [])
      else assert.equal(refusal(args), undefined)
    })
  }

  test('in running text have flags that there are', () => {
    const spans = pages.flatMap(commandSpans)
    assert.ok(spans.length > 50)
    const wrong = spans.filter((span) =>
      trowArguments(span).some((args) => unknownFlags(args).length > 0),
    )
    assert.deepEqual(wrong, [])
  })

  for (const { page, text } of blocks.filter(({ language }) => language === 'yaml')) {
    for (const args of containerArguments(text)) {
      test(`${page}: args of a pod: ${args.join(' ')}`, () =>
        assert.equal(refusal(args), undefined))
    }
  }

  test('are run by a test, or listed with what keeps them from it', () => {
    const isRun = ({ comment }: Block) =>
      /^run: (?:registry|stopped|cluster|image)$/.test(comment ?? '')
    const left = scripts.filter((block) => !isRun(block)).flatMap(({ text }) => commandLines(text))
    assert.deepEqual(
      [...new Set(left)].toSorted(),
      commandsNotRun.flatMap(({ commands }) => commands).toSorted(),
      'put <!-- run: registry -->, stopped, cluster or image before it, or it into commands-not-run.ts',
    )
  })
})

describe('docs/cli.md', () => {
  const text = readFileSync(join(documentationRoot, 'docs/cli.md'), 'utf8')
  const sections = text.split(/^## /m).slice(1)
  const common = sections.find((section) => section.startsWith('Logging in')) ?? ''
  // docs/configuration.md has these two, and a test of its own.
  const commands = newProgram().commands.filter(
    (command) => !['serve', 'check'].includes(command.name()),
  )

  for (const command of commands) {
    const name = `trow ${command.name()}`
    const section = sections.find((known) => known.split('\n', 1)[0]?.split(', ').includes(name))
    test(`has a section for ${name}`, () => assert.ok(section !== undefined))
    for (const inner of command.commands) {
      test(`has ${name} ${inner.name()}`, () =>
        assert.ok(section?.includes(`${name} ${inner.name()}`)))
    }
    const options = [command, ...command.commands].flatMap((known) => known.options)
    for (const long of new Set(options.map((option) => option.long ?? option.flags))) {
      test(`has ${long} of ${name}`, () => {
        const mention = new RegExp(`\`(?:[^\`]*[ ,])?${long}(?![\\w-])`)
        assert.match(`${section}${common}`, mention)
      })
    }
  }
})
