/** What files that settings name hold, as the configuration has it. */
import type { TlsConfig } from './config.ts'
import type { KeyPath } from './layer.ts'
import { Secret } from './secret.ts'

/** By the paths under which `FileSettings` has it. */
export type FileContents = (path: KeyPath) => string | undefined

/** @param path of the section that names the two files. */
export function tlsConfig(
  files: { readonly cert: string; readonly key: string } | undefined,
  path: KeyPath,
  contents: FileContents,
): TlsConfig | undefined {
  const [cert, key] = [contents([...path, 'cert']), contents([...path, 'key'])]
  if (files === undefined || cert === undefined || key === undefined) return undefined
  return { certFile: files.cert, keyFile: files.key, cert, key: new Secret(key) }
}
