/**
 * Reads the text of one configuration file (YAML 1.2, one document) as a layer of settings that
 * knows the line and column of every key.
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml'
import { formatPath, isTree, type KeyPath, type Layer, type Place, type Tree } from './layer.ts'

export interface ConfigFile {
  readonly layer: Layer
  /** Why the text could not be read; then the layer is empty. */
  readonly problems: readonly string[]
}

export function parseConfigFile(file: string, text: string): ConfigFile {
  const lines = new LineCounter()
  // Its warnings are among the problems below; it would print some of them by itself.
  const options = { lineCounter: lines, prettyErrors: false, logLevel: 'error' } as const
  const document = parseDocument(text, options)
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  const locate = (path: KeyPath): Place => {
    const order = offsetOf(document, path)
    const source = place(order)
    return { order, source, text: `${source}: ${formatPath(path)}` }
  }
  const problems = [...document.errors, ...document.warnings].map(
    ({ code, message, pos }) =>
      `${place(pos[0])}: ${addressInBrackets(text, pos[0]) ?? reasons[code] ?? message}`,
  )
  const read = problems.length > 0 ? { tree: {} } : treeOf(document)
  if ('tree' in read) return { layer: { tree: read.tree, locate }, problems }
  const problem = `${place(read.offset ?? 0)}: ${read.problem}`
  return { layer: { tree: {}, locate }, problems: [problem] }
}

const reasons: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document begins here; the file must hold one',
  DUPLICATE_KEY: 'this key is in the file twice',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
}

/** With an IPv4 address in it: `0000:0000:0000:0000:0000:ffff:255.255.255.255`. */
const ipv6LengthMax = 45

/** `[::]:8000` is a list to YAML, with something behind it. */
function addressInBrackets(text: string, offset: number): string | undefined {
  const before = text.slice(Math.max(0, offset - '[]'.length - ipv6LengthMax), offset)
  const [address] = /\[[\da-f:.]*:[\da-f:.]*\]$/i.exec(before) ?? []
  return address === undefined
    ? undefined
    : `an address in brackets needs quotes: "${address}:PORT"`
}

interface Fault {
  readonly problem: string
  readonly offset?: number
}

/** A file without any content holds no settings. */
function treeOf(document: Document): { readonly tree: Tree } | Fault {
  try {
    const value: unknown = document.toJS() ?? {}
    if (isTree(value)) return { tree: value }
    return { problem: 'expected keys and values at the top of the file' }
  } catch (error) {
    // An alias to nothing, or aliases that expand to more than the parser allows.
    if (error instanceof ReferenceError) return unknownAlias(document) ?? { problem: error.message }
    throw error
  }
}

/** `- *.example.com` is an alias to YAML, but hardly to the one who wrote it. */
function unknownAlias(document: Document): Fault | undefined {
  let fault: Fault | undefined
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return undefined
      const problem = `"*${alias.source}" stands for nothing; text that begins with "*" needs quotes`
      fault = { problem, offset: alias.range?.[0] ?? 0 }
      return visit.BREAK
    },
  })
  return fault
}

/** Offset of what `path` leads to: the key, the list's entry, or the nearest thing around it. */
function offsetOf(document: Document, path: KeyPath): number {
  let node: unknown = document.contents
  let nearest = node
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => nameOf(key) === String(step))
      nearest = pair?.key ?? nearest
      node = pair?.value
    } else {
      node = isSeq(node) ? node.items[Number(step)] : undefined
      nearest = node ?? nearest
    }
  }
  return (isNode(nearest) && nearest.range?.[0]) || 0
}

function nameOf(key: unknown): string {
  return String(isScalar(key) ? key.value : key)
}
