/**
 * Where credentials are found when none are given: `$REGISTRY_AUTH_FILE`, docker's configuration,
 * then podman's and skopeo's, in this order; in each of them a credential helper comes before what
 * stands in the file, as docker has it.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../config/limits.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { askCredentialHelper, CredentialsError } from './credential-helper.ts'
import type { Credentials } from './credentials.ts'
import { type DockerConfig, findAuth, parseDockerConfig } from './docker-config.ts'

export interface CredentialSources {
  readonly environment: NodeJS.ProcessEnv
  readonly homeDirectory: string
  readonly signal: AbortSignal
}

/**
 * @param repository chooses among entries for parts of a registry.
 * @returns undefined when there are none, which means anonymous.
 * @throws CredentialsError when a file or a helper that should have them is of no use.
 */
export async function findCredentials(
  registry: RegistryHost,
  repository: string | undefined,
  sources: CredentialSources,
): Promise<Credentials | undefined> {
  for (const path of credentialFiles(sources)) {
    const config = await readConfig(path)
    if (config === undefined) continue
    const helper = config.helpers.get(registry) ?? config.defaultHelper
    const fromHelper =
      helper === undefined ? undefined : await askCredentialHelper(helper, registry, sources)
    const found = fromHelper ?? findAuth(config, registry, repository)
    if (found !== undefined) return found
  }
  return undefined
}

function credentialFiles({ environment, homeDirectory }: CredentialSources): string[] {
  const {
    REGISTRY_AUTH_FILE: authFile,
    DOCKER_CONFIG: dockerDirectory = join(homeDirectory, '.docker'),
    XDG_RUNTIME_DIR: runtimeDirectory,
    XDG_CONFIG_HOME: configDirectory = join(homeDirectory, '.config'),
  } = environment
  return [
    ...(authFile ? [authFile] : []),
    join(dockerDirectory, 'config.json'),
    ...(runtimeDirectory ? [join(runtimeDirectory, 'containers', 'auth.json')] : []),
    join(configDirectory, 'containers', 'auth.json'),
  ]
}

async function readConfig(path: string): Promise<DockerConfig | undefined> {
  const text = await readBounded(path)
  if (text === undefined) return undefined
  const config = parseDockerConfig(text)
  if (config === undefined) {
    throw new CredentialsError(`${path} is not the JSON of a docker or podman login`)
  }
  return config
}

const absent = new Set(['ENOENT', 'ENOTDIR'])

async function readBounded(path: string): Promise<string | undefined> {
  const bytesMax = limits.credentialFileBytesMax
  try {
    await using file = await open(path)
    const chunks: Buffer[] = []
    const stream = file.createReadStream({ end: bytesMax, autoClose: false })
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    if (bytes.length > bytesMax)
      throw new CredentialsError(`${path} has more than ${bytesMax} bytes`)
    return bytes.toString()
  } catch (cause) {
    if (cause instanceof CredentialsError) throw cause
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    if (absent.has(code)) return undefined
    throw new CredentialsError(`${path} cannot be read (${code})`, { cause })
  }
}
