/**
 * Says in words what is wrong with one layer of settings. It never repeats a value, save those of
 * keys whose parsers do (`InvalidSetting`) and choices from a list: a wrong value may be a secret
 * that slipped into the wrong line.
 */
import type * as z from 'zod'
import { exclusions, type Problem } from './exclusions.ts'
import { formatPath, type KeyPath, type Layer, locateSetting, type Tree, valueAt } from './layer.ts'
import { nearest } from './nearest.ts'
import { keyNamesBelow, schemaKeys } from './schema-keys.ts'
import { configSchema } from './schema.ts'

/** @returns one line for each problem, in the order of the source. */
export function validateLayer(layer: Layer): string[] {
  const result = configSchema.safeParse(layer.tree, { error: describe })
  const problems = result.success ? [] : result.error.issues.flatMap(problemsOf)
  problems.push(...exclusions(layer.tree))
  return problems
    .map(({ path, message }) => ({ place: layer.locate(path), message }))
    .sort((a, b) => a.place.order - b.place.order)
    .map(({ place, message }) => `${place.text}: ${message}`)
}

/** Problems that only the layers together can have. */
export function validateTogether(merged: Tree, layers: readonly Layer[]): string[] {
  return [...loginProblems(merged, layers), ...admissionProblems(merged, layers)]
}

function admissionProblems(merged: Tree, layers: readonly Layer[]): string[] {
  const has = (key: string) => (valueAt(merged, ['admission', key]) ?? null) !== null
  if (!has('bind') || has('tls') || has('self_managed')) return []
  return [
    `${locateSetting(layers, ['admission', 'bind'])?.text}: webhooks are asked over HTTPS only: set ` +
      'a certificate too (--admission-tls, TROW_ADMISSION_TLS, admission.tls or admission.self_managed)',
  ]
}

function loginProblems(merged: Tree, layers: readonly Layer[]): string[] {
  const has = (key: string) => (valueAt(merged, ['auth', key]) ?? null) !== null
  const line = (key: string, message: string) =>
    `${locateSetting(layers, ['auth', key])?.text}: ${message}`
  const passwordKey = ['password', 'password_file'].find(has)
  if (has('user') && passwordKey === undefined) {
    return [
      line('user', 'a user needs a password: set one (--password, TROW_PASSWORD, auth.password)'),
    ]
  }
  if (passwordKey !== undefined && !has('user')) {
    return [line(passwordKey, 'a password needs a user: set one (--user, TROW_USER, auth.user)')]
  }
  return []
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code !== 'unrecognized_keys') return [issue]
  return issue.keys.map((key) => ({
    path: [...issue.path, key],
    message: `unknown key; ${suggestion(issue.path, key)}`,
  }))
}

/** Of Trow 0.8 and older. */
const formerKeys: ReadonlyMap<string, string> = new Map([
  [
    'registry_proxies.registries[].alias',
    'leave it out: since Trow 0.9 images are named by the host, as in f/docker.io/library/nginx',
  ],
])

function suggestion(parent: KeyPath, key: string): string {
  const former = formerKeys.get(pattern([...parent, key]))
  if (former !== undefined) return former
  const known = keyNamesBelow(pattern(parent))
  const near = nearest(key, known)
  if (near !== undefined) return `did you mean "${near}"?`
  const elsewhere = schemaKeys.find(({ path }) => path.endsWith(`.${key}`))
  if (elsewhere !== undefined) return `did you mean "${elsewhere.path}"?`
  return `known here: ${known.join(', ')}`
}

function pattern(path: KeyPath): string {
  return formatPath(path).replaceAll(/\[\d+\]/g, '[]')
}

/** What zod is told to say: what is expected and what was found instead. */
function describe(issue: z.core.$ZodRawIssue): string {
  if (issue.input === undefined || issue.input === null) return 'is missing'
  const found = kindOf(issue.input)
  if (issue.code === 'invalid_value') return describeChoice(issue.values.map(String), issue.input)
  if (issue.code === 'invalid_union') return `expected text or a number, found ${found}`
  if (issue.code !== 'invalid_type') return 'is not valid'
  return `expected ${typeNames[issue.expected] ?? issue.expected}, found ${found}`
}

function describeChoice(choices: readonly string[], input: unknown): string {
  const expected = choices.map((choice) => `"${choice}"`).join(', ')
  if (typeof input !== 'string') return `expected one of ${expected}, found ${kindOf(input)}`
  const near = nearest(input, choices)
  const hint = near === undefined ? '' : `; did you mean "${near}"?`
  return `expected one of ${expected}, found ${JSON.stringify(input)}${hint}`
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys and values',
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number' || typeof value === 'bigint')
    return 'a number (quote it if it is text)'
  if (typeof value === 'boolean') return `${value} (quote it if it is text)`
  return typeof value === 'string' ? 'text' : 'keys and values'
}
