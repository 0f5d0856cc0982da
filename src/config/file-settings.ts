/**
 * Settings whose value is the content of a file: passwords, the certificate and its key. They are
 * read from the merged layers before these are validated as a whole, so that a missing file is
 * reported together with everything else that is wrong.
 */
import type { FileReader } from './file-reader.ts'
import { formatPath, type KeyPath, type Tree, valueAt } from './layer.ts'
import { limits } from './limits.ts'
import { checkTlsFiles, expiryWarning, type TlsFiles } from './tls-files.ts'

export interface FileSettings {
  /** By the path of the section for a password, of the key for the others. */
  readonly contents: ReadonlyMap<string, string>
  readonly problems: readonly { readonly path: KeyPath; readonly message: string }[]
  readonly warnings: readonly string[]
}

interface FileReference {
  readonly path: KeyPath
  readonly owner: KeyPath
  readonly file: string
  readonly isPassword: boolean
}

const filePrefix = 'file://'

export async function readFileSettings(merged: Tree, reader: FileReader): Promise<FileSettings> {
  const contents = new Map<string, string>()
  const problems: { path: KeyPath; message: string }[] = []
  for (const { path, owner, file, isPassword } of fileReferences(merged)) {
    const bytesMax = isPassword ? limits.passwordBytesMax : limits.tlsFileBytesMax
    const read = await reader.read(file, bytesMax)
    const text = 'text' in read && isPassword ? withoutLastNewline(read.text) : undefined
    if ('problem' in read) problems.push({ path, message: `the file ${file} ${read.problem}` })
    else if (text === '') problems.push({ path, message: `the file ${file} is empty` })
    else contents.set(formatPath(owner), text ?? read.text)
  }
  const tls = tlsFiles(merged, contents)
  const problem = tls && checkTlsFiles(tls)
  const warning = tls && problem === undefined ? expiryWarning(tls, new Date()) : undefined
  if (problem !== undefined) problems.push({ path: ['tls'], message: problem })
  return { contents, problems, warnings: warning === undefined ? [] : [warning] }
}

function tlsFiles(merged: Tree, contents: ReadonlyMap<string, string>): TlsFiles | undefined {
  const [cert, key] = [contents.get('tls.cert'), contents.get('tls.key')]
  if (cert === undefined || key === undefined) return undefined
  const certFile = String(valueAt(merged, ['tls', 'cert']))
  return { certFile, cert, keyFile: String(valueAt(merged, ['tls', 'key'])), key }
}

function fileReferences(merged: Tree): FileReference[] {
  const registries = valueAt(merged, ['registry_proxies', 'registries'])
  const entries = Array.isArray(registries) ? registries : []
  return [
    ...passwordReferences(merged, ['auth']),
    ...entries.flatMap((_, index) =>
      passwordReferences(merged, ['registry_proxies', 'registries', index]),
    ),
    ...['cert', 'key'].flatMap((key) => {
      const file = valueAt(merged, ['tls', key])
      const path = ['tls', key]
      return typeof file === 'string' && file !== ''
        ? [{ path, owner: path, file, isPassword: false }]
        : []
    }),
  ]
}

function passwordReferences(merged: Tree, owner: KeyPath): FileReference[] {
  const password = valueAt(merged, [...owner, 'password'])
  const file = valueAt(merged, [...owner, 'password_file'])
  const references: FileReference[] = []
  const add = (key: string, name: string) =>
    references.push({ path: [...owner, key], owner, file: name, isPassword: true })
  if (typeof file === 'string' && file !== '') add('password_file', file)
  if (typeof password === 'string' && password.startsWith(filePrefix)) {
    add('password', password.slice(filePrefix.length))
  }
  return references
}

/** Editors and `echo` end a file with a newline that is no part of the password. */
function withoutLastNewline(text: string): string {
  return text.replace(/\r?\n$/, '')
}
