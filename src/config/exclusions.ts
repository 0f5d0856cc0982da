/**
 * Settings of one file that need or exclude each other. It looks at the file as it is written: what
 * is wrong with a single value is said elsewhere, and need not be said twice.
 */
import { InvalidSetting } from './invalid-setting.ts'
import { type KeyPath, type Tree, valueAt } from './layer.ts'
import { parseRegistrySetting } from './registry-host.ts'

export interface Problem {
  readonly path: KeyPath
  readonly message: string
}

/** The forms that one password can have, the last of them only for other registries. */
const passwordKeys = ['password', 'password_file', 'docker_config_file']

export function exclusions(tree: Tree): Problem[] {
  const registries = valueAt(tree, ['registry_proxies', 'registries'])
  const entries = Array.isArray(registries) ? registries : []
  return [
    ...passwordProblems(tree['auth'], ['auth'], passwordKeys.slice(0, 2)),
    ...entries.flatMap((entry: unknown, index) => {
      const path = ['registry_proxies', 'registries', index]
      return [
        ...passwordProblems(entry, path, passwordKeys),
        ...loginProblems(entry, path),
        ...tlsProblems(entry, path),
      ]
    }),
    ...duplicates(entries),
    ...certificateProblems(tree['admission']),
    ...retentionProblems(tree['retention']),
  ]
}

/** A rule that says nothing of what is kept would delete all that it is for. */
function retentionProblems(rules: unknown): Problem[] {
  return (Array.isArray(rules) ? rules : []).flatMap((rule: unknown, index) => {
    const path = ['retention', index]
    const limits = keepKeys.filter((key) => isSet(rule, key))
    if (isSet(rule, 'keep_all')) {
      const message = 'keep_all keeps these tags whatever else it says; keep one of the two'
      return limits.map((key) => ({ path: [...path, key], message }))
    }
    const message = `says of no tag that it is kept: set ${keepKeys.join(', ')} or keep_all`
    return limits.length === 0 ? [{ path, message }] : []
  })
}

const keepKeys = ['keep_newest', 'keep_pushed_within', 'keep_pulled_within']

function passwordProblems(section: unknown, path: KeyPath, keys: readonly string[]): Problem[] {
  const [first, ...others] = keys.filter((key) => isSet(section, key))
  return others.map((key) => ({
    path: [...path, key],
    message: `${first} is set too; keep one of the two`,
  }))
}

function certificateProblems(admission: unknown): Problem[] {
  if (!isSet(admission, 'tls') || !isSet(admission, 'self_managed')) return []
  const message = 'admission.tls brings a certificate; keep one of the two'
  return [{ path: ['admission', 'self_managed'], message }]
}

function loginProblems(entry: unknown, path: KeyPath): Problem[] {
  const passwordKey = passwordKeys.find((key) => isSet(entry, key))
  const hasName = isSet(entry, 'username')
  if (passwordKey === 'docker_config_file') {
    const message = 'docker_config_file brings a username; keep one of the two'
    return hasName ? [{ path: [...path, 'username'], message }] : []
  }
  if (hasName === (passwordKey !== undefined)) return []
  return passwordKey === undefined
    ? [{ path: [...path, 'username'], message: 'a username needs a password' }]
    : [{ path: [...path, passwordKey], message: 'a password needs a username' }]
}

function tlsProblems(entry: unknown, path: KeyPath): Problem[] {
  const at = (key: string, message: string) => [{ path: [...path, key], message }]
  const set = tlsKeys.filter((key) => isSet(entry, key))
  if (valueAt(entry, ['insecure']) === true) {
    return set.flatMap((key) => at(key, 'insecure means plain HTTP, which has no certificates'))
  }
  const [one, ...others] = set.filter((key) => key.startsWith('client_'))
  const other = one === 'client_cert_file' ? 'client_key_file' : 'client_cert_file'
  return [
    ...(one !== undefined && others.length === 0 ? at(one, `needs ${other} too`) : []),
    ...(set.includes('skip_verify') && set.includes('ca_file')
      ? at('ca_file', 'skip_verify accepts any certificate; keep one of the two')
      : []),
  ]
}

const tlsKeys = ['skip_verify', 'ca_file', 'client_cert_file', 'client_key_file']

/** `false` says no more than nothing. */
function isSet(entry: unknown, key: string): boolean {
  const value = valueAt(entry, [key]) ?? null
  return value !== null && value !== false
}

function duplicates(entries: readonly unknown[]): Problem[] {
  const first = new Map<string, number>()
  return entries.flatMap((entry, index) => {
    const [host, prefix] = [valueAt(entry, ['host']), valueAt(entry, ['path_prefix']) ?? '']
    if (typeof host !== 'string' || typeof prefix !== 'string') return []
    const name = `${nameOfHost(host)}/${prefix.replaceAll(/^\/+|\/+$/g, '')}`
    const earlier = first.get(name)
    if (earlier === undefined) {
      first.set(name, index)
      return []
    }
    const path = ['registry_proxies', 'registries', index, 'host']
    return [{ path, message: `registries[${earlier}] has the same host and path_prefix` }]
  })
}

function nameOfHost(host: string): string {
  try {
    return parseRegistrySetting(host)
  } catch (error) {
    if (error instanceof InvalidSetting) return host
    throw error
  }
}
