/**
 * One source of settings (a file, the environment, the flags) as a tree with the schema's keys, and
 * the merging of several: a later layer wins, key by key; lists are never mixed. Trees are as raw as
 * their source, so a wrong value keeps the place it came from until it is reported.
 */

export type Tree = { readonly [key: string]: unknown }

export type KeyPath = readonly PropertyKey[]

/** Where a setting stands. */
export interface Place {
  /** `trow.yaml:12:5`, `TROW_USER` or `--user` */
  readonly source: string
  /** The source and, where it does not say so itself, the key: `trow.yaml:12:5: auth.user`. */
  readonly text: string
  /** Orders the places of one layer as its reader sees them. */
  readonly order: number
}

export interface Layer {
  readonly tree: Tree
  /** @param path need not exist in the tree; the nearest place is found. */
  locate(path: KeyPath): Place
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @returns the value at `path`, or undefined. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (Array.isArray(value)) return valueAt(value[Number(step)], rest)
  const key = String(step)
  return isTree(value) && Object.hasOwn(value, key) ? valueAt(value[key], rest) : undefined
}

/** `registries[1].host` */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    const name = /^[\w-]+$/.test(String(step)) ? String(step) : JSON.stringify(String(step))
    return text === '' ? name : `${text}.${name}`
  }, '')
}

/** @param layers from the weakest to the strongest */
export function mergeLayers(layers: readonly Layer[]): Tree {
  return layers.reduce<Tree>(
    (under, { tree }) => mergeTrees(withoutReplaced(under, tree), tree),
    {},
  )
}

function mergeTrees(under: Tree, over: Tree): Tree {
  const merged = new Map(Object.entries(under))
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key)
    if (value === null) continue
    merged.set(key, isTree(below) && isTree(value) ? mergeTrees(below, value) : value)
  }
  return Object.fromEntries(merged)
}

/** A password and the file that holds it are one setting in two forms: the stronger form wins. */
function withoutReplaced(under: Tree, over: Tree): Tree {
  const isPassword = (key: string) => key === 'password' || key === 'password_file'
  const below = under['auth']
  const above = over['auth']
  if (!isTree(below) || !isTree(above) || !Object.keys(above).some(isPassword)) return under
  const kept = Object.entries(below).filter(([key]) => !isPassword(key))
  return { ...under, auth: Object.fromEntries(kept) }
}

/** @returns the place of the strongest layer that has something at `path`. */
export function locateSetting(layers: readonly Layer[], path: KeyPath): Place | undefined {
  return layers.findLast(({ tree }) => (valueAt(tree, path) ?? null) !== null)?.locate(path)
}
