// What the documentation is made of, for the tests that hold it to the program: its pages, the blocks of code
// in them with the comment before each that says which test runs it, and the command lines in those.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { marked, type Token, type Tokens } from 'marked'

export const documentationRoot = join(import.meta.dirname, '../..')

export interface Page {
  /** `docs/cli.md` */
  readonly path: string
  readonly tokens: readonly Token[]
}

export interface Block {
  readonly page: string
  /** Of the fence; undefined for a block that is indented. */
  readonly language: string | undefined
  readonly text: string
  /** The HTML comment before it, without its signs. */
  readonly comment: string | undefined
}

export function readPages(pattern: readonly string[] = ['README.md', 'docs/*.md']): Page[] {
  return globSync([...pattern], { cwd: documentationRoot })
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(documentationRoot, path), 'utf8')
      return { path, tokens: marked.lexer(text) }
    })
}

export function listBlocks({ path, tokens }: Page): Block[] {
  return blocksIn(path, tokens)
}

function blocksIn(page: string, tokens: readonly Token[]): Block[] {
  const blocks: Block[] = []
  let comment: string | undefined
  for (const token of tokens) {
    if (token.type === 'code') blocks.push(blockOf(page, token as Tokens.Code, comment))
    for (const inner of innerTokens(token)) blocks.push(...blocksIn(page, inner))
    if (token.type === 'html') comment = /^<!--\s*(.*?)\s*-->/s.exec(token.raw)?.[1]
    else if (token.type !== 'space') comment = undefined
  }
  return blocks
}

function innerTokens(token: Token): Token[][] {
  if (token.type === 'list') return (token as Tokens.List).items.map(({ tokens }) => tokens)
  return token.type === 'blockquote' ? [(token as Tokens.Blockquote).tokens] : []
}

function blockOf(page: string, token: Tokens.Code, comment: string | undefined): Block {
  const language = token.codeBlockStyle === 'indented' ? undefined : (token.lang ?? '')
  return { page, language, text: token.text, comment }
}

/** Without comments and empty lines; what goes on in the next line is one. */
export function commandLines(script: string): string[] {
  return script
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/\s+#\s.*/, '').trim())
    .filter((line) => line !== '')
}

/** The words of each simple command of a script of the shell, without redirections and what follows `#`. */
export function shellCommands(script: string): string[][] {
  const commands: string[][] = []
  for (const line of script
    .replaceAll(/\\\n\s*/g, ' ')
    .replaceAll(/ [<>] *\S+/g, '')
    .split('\n')) {
    let command: string[] = []
    for (const [token] of line.matchAll(/'[^']*'|(?:"[^"]*"|[^\s'"|&;()])+|[|&;()]+/g)) {
      if (token.startsWith('#')) break
      if (/^[|&;()]+$/.test(token)) {
        commands.push(command)
        command = []
      } else command.push(token.replaceAll(/^['"]|['"]$/g, ''))
    }
    commands.push(command)
  }
  return commands.filter((command) => command.length > 0)
}

/** What follows `trow` in those commands that run it, also in a container. */
export function trowArguments(script: string): string[][] {
  return shellCommands(script).flatMap((command) => {
    const words = command.slice(command.findIndex((word) => !/^[A-Z_]+=/.test(word)))
    const at = words.findIndex(
      (word, index) => /^(?:bin\/)?trow$/.test(word) && isProgram(words, index),
    )
    return at === -1 ? [] : [words.slice(at + 1)]
  })
}

function isProgram(words: readonly string[], index: number): boolean {
  return index === 0 || words[index - 1] === '--' || (words[1] === 'exec' && words[0] === 'podman')
}
