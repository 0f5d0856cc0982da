/**
 * Which settings name files whose content is wanted, in settings as raw as their sources: the files
 * are looked at even where other settings are wrong, so that everything is reported at once.
 */
import { type KeyPath, type Tree, valueAt } from './layer.ts'
import { limits } from './limits.ts'

export type FileKind = keyof typeof fileBytesMax

export interface FileReference {
  readonly kind: FileKind
  /** Of the setting that names the file. */
  readonly path: KeyPath
  /** Under which path its content is known: a password's is that of its section. */
  readonly owner: KeyPath
  readonly file: string
}

export const fileBytesMax = {
  password: limits.passwordBytesMax,
  pem: limits.tlsFileBytesMax,
  dockerConfig: limits.credentialFileBytesMax,
} as const

const filePrefix = 'file://'

export function fileReferences(merged: Tree): FileReference[] {
  const paths = registryPaths(merged)
  return [
    ...passwordReferences(merged, ['auth']),
    ...paths.flatMap((path) => [
      ...passwordReferences(merged, path),
      ...references(merged, path, 'docker_config_file', 'dockerConfig'),
      ...pemKeys.flatMap((key) => references(merged, path, key, 'pem')),
    ]),
    ...tlsPaths.flatMap((path) =>
      ['cert', 'key'].flatMap((key) => references(merged, path, key, 'pem')),
    ),
  ]
}

/** Of sections that name the certificate and the key of a listener. */
export const tlsPaths: readonly KeyPath[] = [['tls'], ['admission', 'tls']]

const pemKeys = ['ca_file', 'client_cert_file', 'client_key_file']

/** Paths of the entries of `registry_proxies.registries`. */
export function registryPaths(merged: Tree): KeyPath[] {
  const registries = valueAt(merged, ['registry_proxies', 'registries'])
  const entries = Array.isArray(registries) ? registries : []
  return entries.map((_, index) => ['registry_proxies', 'registries', index])
}

function passwordReferences(merged: Tree, owner: KeyPath): FileReference[] {
  const password = valueAt(merged, [...owner, 'password'])
  const inPassword =
    typeof password === 'string' && password.startsWith(filePrefix)
      ? [{ key: 'password', file: password.slice(filePrefix.length) }]
      : []
  return [
    ...references(merged, owner, 'password_file', 'password').map((found) => ({ ...found, owner })),
    ...inPassword.map(({ key, file }) => {
      return { kind: 'password' as const, path: [...owner, key], owner, file }
    }),
  ]
}

function references(
  merged: Tree,
  section: KeyPath,
  key: string,
  kind: FileKind,
): [FileReference] | [] {
  const path = [...section, key]
  const file = valueAt(merged, path)
  return typeof file === 'string' && file !== '' ? [{ kind, path, owner: path, file }] : []
}
