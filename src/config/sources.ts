/**
 * Makes layers of settings from flags and from environment variables. A variable that is set to
 * nothing counts as not set: that is how charts and compose files leave one out.
 */
import type { KeyPath, Layer, Tree } from './layer.ts'
import { environmentName, longFlag, type Setting, settings, tlsPairDefault } from './settings.ts'

/** By long flag; a flag that was not given is absent. */
export type FlagValues = ReadonlyMap<string, RawValue>

type RawValue = string | boolean | readonly string[]

export type Environment = Readonly<Record<string, string | undefined>>

export interface Source {
  readonly layer: Layer
  readonly problems: readonly string[]
  /** Entries of settings without a key: names of files, switches for one run. */
  readonly extra: ReadonlyMap<string, unknown>
}

export function flagSource(flags: FlagValues): Source {
  return makeSource(longFlag, (setting) => {
    const value = flags.get(longFlag(setting))
    return setting.kind === 'list' && value !== undefined ? splitList(value) : value
  })
}

export function environmentSource(environment: Environment): Source {
  return makeSource(environmentName, (setting) => {
    const value = environment[environmentName(setting)]
    if (value === undefined || value === '') return undefined
    if (setting.kind === 'list') return splitList(value)
    return setting.kind === 'text' ? value : (switchWords.get(value.toLowerCase()) ?? value)
  })
}

const switchWords = new Map([
  ...['true', '1', 'yes', 'on'].map((word) => [word, true] as const),
  ...['false', '0', 'no', 'off'].map((word) => [word, false] as const),
])

function splitList(value: RawValue): string[] {
  return [value]
    .flat()
    .flatMap((text) => String(text).split(','))
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

function makeSource(
  nameOf: (setting: Setting) => string,
  valueOf: (setting: Setting) => RawValue | undefined,
) {
  const problems: string[] = []
  const extra = new Map<string, unknown>()
  let tree: Tree = {}
  for (const setting of settings) {
    const raw = valueOf(setting)
    const value = setting.kind === 'tls' ? readTlsPair(raw) : raw
    if (value === undefined) continue
    if (value === wrongTlsPair) problems.push(`${nameOf(setting)}: expected CERT,KEY, two files`)
    else if ('key' in setting) tree = withValue(tree, setting.key, value)
    else extra.set(longFlag(setting), value)
  }
  const locate = (path: KeyPath) => {
    const source = nameAt(path, nameOf)
    return { source, text: source, order: 0 }
  }
  return { layer: { tree, locate }, problems, extra }
}

const wrongTlsPair = Symbol('wrong pair of files')

function readTlsPair(value: RawValue | undefined): Tree | symbol | undefined {
  if (value === undefined || value === false) return undefined
  const [cert, key, ...rest] = splitList(value === true ? tlsPairDefault : value)
  return cert === undefined || key === undefined || rest.length > 0 ? wrongTlsPair : { cert, key }
}

function withValue(tree: Tree, [step, ...rest]: KeyPath, value: unknown): Tree {
  const key = String(step)
  const below = tree[key]
  const inner = typeof below === 'object' ? (below as Tree) : {}
  return { ...tree, [key]: rest.length === 0 ? value : withValue(inner, rest, value) }
}

function nameAt(path: KeyPath, nameOf: (setting: Setting) => string): string {
  const found = settings.find(
    (setting) => 'key' in setting && setting.key.every((step, index) => path[index] === step),
  )
  return found === undefined ? '' : nameOf(found)
}
