/**
 * The rules of one list, found by the parts of an image's name, so that a review takes as long with a
 * hundred thousand rules as with ten. A glob is kept below the parts that it has before its first star.
 */
import {
  fitsGlob,
  fitsGlobName,
  type GlobTarget,
  type ImageGlob,
  literalParts,
} from './image-glob.ts'
import type { RuleForm } from './rule.ts'

export interface TrieEntry {
  /** Of two entries that fit, the longer one counts. */
  readonly length: number
}

/** An image in one spelling: with its tag, with its digest, or with both. */
export interface TrieTarget extends GlobTarget {
  /** The parts, joined, and the suffix. */
  readonly text: string
  /** The host without its port, where its rules are for any port. */
  readonly hostAtAnyPort?: string
}

interface Node<E> {
  children?: Map<string, Node<E>>
  /** By the part that is the last of the rule. */
  subtrees?: Map<string, E>
  exact?: Map<string, E>
  /** Exact ones by their name without tag and digest, the longest of each. */
  named?: Map<string, E>
  starts?: Starts<E>
  globs?: { readonly glob: ImageGlob; readonly entry: E }[]
}

/** Texts that names go on with, looked up by their lengths. */
interface Starts<E> {
  readonly lengths: number[]
  readonly entries: Map<string, E>
}

export class RuleTrie<E extends TrieEntry> {
  readonly #root: Node<E> = {}
  readonly #atAnyPort = new Map<string, E>()

  /** Of two rules that say the same the first one is kept. */
  add(form: RuleForm, entry: E): void {
    if (form.kind === 'glob') {
      const node = this.#node(literalParts(form.glob))
      node.globs ??= []
      node.globs.push({ glob: form.glob, entry })
      return
    }
    if (form.kind === 'subtree') {
      const last = form.parts.at(-1) ?? ''
      const node = this.#node(form.parts.slice(0, -1))
      node.subtrees ??= new Map()
      keepFirst(node.subtrees, last, entry)
      if (form.isAnyPort) keepFirst(this.#atAnyPort, last, entry)
      return
    }
    const node = this.#node(form.parts)
    if (form.kind === 'start') addStart(node, form.text, entry)
    else node.exact = keepFirst(node.exact ?? new Map<string, E>(), form.text, entry)
    addNamed(node, form.text, entry)
  }

  /** The longest entry that fits, of those that are as long the first one found. */
  find(target: TrieTarget): E | undefined {
    return this.#find(target, false)
  }

  /** The longest entry that fits this image, or would fit it under some tag or digest. */
  findUnderAnyReference(target: TrieTarget): E | undefined {
    return this.#find(target, true)
  }

  #find(target: TrieTarget, isAnyReference: boolean): E | undefined {
    const { parts, text, hostAtAnyPort } = target
    let best = hostAtAnyPort === undefined ? undefined : this.#atAnyPort.get(hostAtAnyPort)
    let node: Node<E> | undefined = this.#root
    let offset = 0
    for (let index = 0; node !== undefined && index <= parts.length; index++) {
      best = longer(best, findGlob(node, target, isAnyReference))
      const part = parts[index]
      if (part === undefined) break
      best = longer(best, findStart(node, text, offset))
      best = longer(best, node.subtrees?.get(part))
      if (index === parts.length - 1) {
        best = longer(best, node.exact?.get(text.slice(offset)))
        if (isAnyReference) best = longer(best, node.named?.get(part))
      }
      node = node.children?.get(part)
      offset += part.length + 1
    }
    return best
  }

  #node(parts: readonly string[]): Node<E> {
    let node = this.#root
    for (const part of parts) {
      node.children ??= new Map()
      let next = node.children.get(part)
      if (next === undefined) {
        next = {}
        node.children.set(part, next)
      }
      node = next
    }
    return node
  }
}

function keepFirst<E>(map: Map<string, E>, key: string, entry: E): Map<string, E> {
  if (!map.has(key)) map.set(key, entry)
  return map
}

function addStart<E>(node: Node<E>, text: string, entry: E): void {
  node.starts ??= { lengths: [], entries: new Map() }
  const { lengths, entries } = node.starts
  keepFirst(entries, text, entry)
  if (!lengths.includes(text.length)) lengths.push(text.length)
}

function addNamed<E extends TrieEntry>(node: Node<E>, text: string, entry: E): void {
  const at = text.search(/[:@]/)
  if (at < 0) return
  node.named ??= new Map()
  const name = text.slice(0, at)
  const longest = longer(node.named.get(name), entry)
  if (longest !== undefined) node.named.set(name, longest)
}

function findStart<E extends TrieEntry>({ starts }: Node<E>, text: string, offset: number) {
  if (starts === undefined) return undefined
  let best: E | undefined
  for (const length of starts.lengths) {
    best = longer(best, starts.entries.get(text.slice(offset, offset + length)))
  }
  return best
}

function findGlob<E extends TrieEntry>(
  { globs = [] }: Node<E>,
  target: TrieTarget,
  isAnyReference: boolean,
): E | undefined {
  const fits = isAnyReference ? fitsGlobName : fitsGlob
  let best: E | undefined
  for (const { glob, entry } of globs) {
    if ((best === undefined || entry.length > best.length) && fits(glob, target)) best = entry
  }
  return best
}

function longer<E extends TrieEntry>(one: E | undefined, other: E | undefined): E | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return other.length > one.length ? other : one
}
