/**
 * Settings whose value is the content of a file: passwords, certificates and their keys. They are
 * read from the merged layers before these are validated as a whole, so that a missing file is
 * reported together with everything else that is wrong.
 */
import { type DockerLoginAnswer, findDockerLogin } from './docker-login.ts'
import type { FileReader } from './file-reader.ts'
import {
  fileBytesMax,
  type FileReference,
  fileReferences,
  registryPaths,
  tlsPaths,
} from './file-references.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { formatPath, type KeyPath, type Tree, valueAt } from './layer.ts'
import { parseRegistrySetting } from './registry-host.ts'
import { checkAuthorities, checkTlsFiles, expiryWarning, type TlsFiles } from './tls-files.ts'

export interface FileSettings {
  /**
   * By the path of the section for a password, of `username` in it for a name that came with the
   * password, of the key for the others.
   */
  readonly contents: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
  readonly warnings: readonly string[]
}

interface Problem {
  readonly path: KeyPath
  readonly message: string
}

export async function readFileSettings(merged: Tree, reader: FileReader): Promise<FileSettings> {
  const contents = new Map<string, string>()
  const problems: Problem[] = []
  for (const reference of fileReferences(merged)) {
    const { path, file, kind } = reference
    const read = await reader.read(file, fileBytesMax[kind])
    const found = 'text' in read ? contentsOf(reference, read.text, merged) : read
    if ('problem' in found) problems.push({ path, message: `the file ${file} ${found.problem}` })
    else for (const [key, text] of found.contents) contents.set(key, text)
  }
  const warnings: string[] = []
  const now = new Date()
  for (const { path, files } of certificatePairs(merged, contents)) {
    const problem = checkTlsFiles(files)
    const warning = problem === undefined ? expiryWarning(files, now) : undefined
    if (problem !== undefined) problems.push({ path, message: problem })
    if (warning !== undefined) warnings.push(warning)
  }
  problems.push(...authorityProblems(merged, contents))
  return { contents, problems, warnings }
}

type Found = { readonly contents: [path: string, text: string][] } | { readonly problem: string }

function contentsOf({ kind, owner, path }: FileReference, text: string, merged: Tree): Found {
  const content = kind === 'password' ? withoutLastNewline(text) : text
  if (content === '') return { problem: 'is empty' }
  if (kind !== 'dockerConfig') return { contents: [[formatPath(owner), content]] }
  const section = path.slice(0, -1)
  const login = dockerLogin(content, section, merged)
  if (login === undefined) return { contents: [] }
  if ('problem' in login) return login
  const name = formatPath([...section, 'username'])
  const pair: [string, string][] = [
    [name, login.name],
    [formatPath(section), login.password],
  ]
  return { contents: pair }
}

/** @returns undefined when the entry's host is wrong, which is reported as such. */
function dockerLogin(text: string, section: KeyPath, merged: Tree): DockerLoginAnswer | undefined {
  const host = valueAt(merged, [...section, 'host'])
  const prefix = valueAt(merged, [...section, 'path_prefix'])
  if (typeof host !== 'string') return undefined
  try {
    const pathPrefix = typeof prefix === 'string' ? prefix.replaceAll(/^\/+|\/+$/g, '') : ''
    return findDockerLogin(text, parseRegistrySetting(host), pathPrefix)
  } catch (error) {
    if (error instanceof InvalidSetting) return undefined
    throw error
  }
}

/** Certificates with their keys, where both could be read, and where a mistake in them is shown. */
function certificatePairs(merged: Tree, contents: ReadonlyMap<string, string>) {
  const pairs = [
    ...tlsPaths.map((path) => ({
      path,
      certPath: [...path, 'cert'],
      keyPath: [...path, 'key'],
    })),
    ...registryPaths(merged).map((entry) => {
      const certPath = [...entry, 'client_cert_file']
      return { path: certPath, certPath, keyPath: [...entry, 'client_key_file'] }
    }),
  ]
  return pairs.flatMap(({ path, certPath, keyPath }): { path: KeyPath; files: TlsFiles }[] => {
    const [cert, key] = [contents.get(formatPath(certPath)), contents.get(formatPath(keyPath))]
    if (cert === undefined || key === undefined) return []
    const [certFile, keyFile] = [certPath, keyPath].map((at) => String(valueAt(merged, at)))
    return [{ path, files: { certFile: certFile ?? '', cert, keyFile: keyFile ?? '', key } }]
  })
}

function authorityProblems(merged: Tree, contents: ReadonlyMap<string, string>): Problem[] {
  return registryPaths(merged).flatMap((entry) => {
    const path = [...entry, 'ca_file']
    const pem = contents.get(formatPath(path))
    const message =
      pem === undefined ? undefined : checkAuthorities(String(valueAt(merged, path)), pem)
    return message === undefined ? [] : [{ path, message }]
  })
}

/** Editors and `echo` end a file with a newline that is no part of the password. */
function withoutLastNewline(text: string): string {
  return text.replace(/\r?\n$/, '')
}
