/**
 * The files in which clients keep their logins: docker's `config.json` and the `auth.json` of
 * podman and skopeo (containers-auth.json(5)), which share a format. This file knows the format;
 * what it finds is never shown.
 */
import { isRecord } from '../oci/descriptor.ts'
import { dockerHub, type RegistryHost } from '../oci/image-reference.ts'
import { type Credentials, IdentityToken, PasswordCredentials } from './credentials.ts'

export interface DockerConfig {
  /** By host, or host and path, lower case and without scheme. */
  readonly auths: ReadonlyMap<string, Credentials>
  /** Credential helpers by host. */
  readonly helpers: ReadonlyMap<string, string>
  /** The helper for every other host. */
  readonly defaultHelper: string | undefined
}

/** @returns undefined for what is no JSON object. Entries without credentials are left out. */
export function parseDockerConfig(text: string): DockerConfig | undefined {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(document)) return undefined
  const { auths, credHelpers, credsStore } = document
  const entries = isRecord(auths) ? Object.entries(auths) : []
  const helpers = isRecord(credHelpers) ? Object.entries(credHelpers) : []
  return {
    auths: new Map(
      entries.flatMap(([key, entry]) => {
        const credentials = parseEntry(entry)
        return credentials === undefined ? [] : [[normalizeKey(key), credentials] as const]
      }),
    ),
    helpers: new Map(
      helpers.flatMap(([key, helper]) =>
        typeof helper === 'string' && helper !== '' ? [[normalizeKey(key), helper] as const] : [],
      ),
    ),
    defaultHelper: typeof credsStore === 'string' && credsStore !== '' ? credsStore : undefined,
  }
}

/** The credentials with the longest path that `repository` is in, on path-segment boundaries. */
export function findAuth(
  config: DockerConfig,
  registry: RegistryHost,
  repository: string | undefined,
): Credentials | undefined {
  const segments = repository === undefined ? [] : repository.split('/')
  for (let length = segments.length; length >= 0; length--) {
    const found = config.auths.get([registry, ...segments.slice(0, length)].join('/'))
    if (found !== undefined) return found
  }
  return undefined
}

/** Old entries are URLs; Docker Hub's is `https://index.docker.io/v1/` to this day. */
function normalizeKey(key: string): string {
  const [host = '', ...path] = key
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .replace(/\/(?:v[12]\/?)?$/, '')
    .split('/')
  const isHub = host === 'index.docker.io' || host === 'registry-1.docker.io'
  return [isHub ? dockerHub : host, ...path].join('/')
}

function parseEntry(entry: unknown): Credentials | undefined {
  if (!isRecord(entry)) return undefined
  const { auth, identitytoken, username, password } = entry
  if (typeof identitytoken === 'string' && identitytoken !== '') {
    return new IdentityToken(identitytoken)
  }
  if (typeof auth === 'string' && auth !== '') return parseAuth(auth)
  return typeof username === 'string' && typeof password === 'string' && username !== ''
    ? new PasswordCredentials(username, password)
    : undefined
}

/** Base64 of `user:password`; docker pads it with NULs. */
function parseAuth(auth: string): Credentials | undefined {
  const text = Buffer.from(auth, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon <= 0) return undefined
  return new PasswordCredentials(text.slice(0, colon), text.slice(colon + 1).replace(/\0+$/, ''))
}
