// A running registry with what clients need to reach it: its address, its authority, the login, and
// a directory for each client that goes when the scene is over.

import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { issueCertificate } from '../support/certificate.ts'
import type { Registry, Target } from '../support/clients.ts'
import { startRegistry, type Registry as RunningRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

export interface SceneOptions {
  readonly isSecure?: boolean
  /** Without it everybody may do everything. */
  readonly login?: Login
  readonly anonymousPull?: boolean
  /** Text of the configuration file. */
  readonly config?: string
}

export interface Scene extends AsyncDisposable {
  readonly registry: RunningRegistry
  /** For everything that outlives one client. */
  readonly directory: string
  /** The registry as a new client sees it, which has the login if there is one. */
  client(): Promise<Registry>
  /** The same, for who has no login. */
  stranger(): Promise<Registry>
}

export type Login = NonNullable<Registry['auth']>

/** Characters that have a meaning in a URL, in a header, in JSON or in a shell. */
export const alice: Login = { username: 'alice', password: 'p@ss: "word"/%41$HOME' }

export async function openScene(options: SceneOptions = {}): Promise<Scene> {
  const { isSecure = false, login, anonymousPull = false, config } = options
  await using resources = new AsyncDisposableStack()
  const { path: directory } = resources.use(await temporaryDirectory())
  const tls = isSecure ? issueCertificate(['127.0.0.1', 'localhost']) : undefined
  const ca = join(directory, 'ca.pem')
  if (tls) await writeFile(ca, tls.ca)
  const user = login && { name: login.username, password: login.password }
  const registry = resources.use(
    await startRegistry({
      anonymousPull,
      ...(tls && { tls }),
      ...(user && { user }),
      ...(config !== undefined && { config }),
    }),
  )
  const stranger = async (): Promise<Registry> => ({
    registry: registry.host,
    ...(tls && { tls: { ca } }),
    directory: await mkdtemp(join(directory, 'client-')),
  })
  const client = async () => ({ ...(await stranger()), ...(login && { auth: login }) })
  const opened = resources.move()
  return {
    registry,
    directory,
    client,
    stranger,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** Where in a registry an image is. */
export function at(registry: Registry, repository: string, tag = 'latest'): Target {
  return { ...registry, repository, tag }
}
