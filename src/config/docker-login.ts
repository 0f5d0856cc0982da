/**
 * A user and a password out of docker's `config.json`, which is also what a Kubernetes secret of
 * type `kubernetes.io/dockerconfigjson` holds. Only what stands in the file counts: credential
 * helpers are programs of a person's machine.
 */
import { isRecord } from '../oci/descriptor.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { parseRegistrySetting } from './registry-host.ts'

export interface DockerLogin {
  readonly name: string
  readonly password: string
}

export type DockerLoginAnswer = DockerLogin | { readonly problem: string }

/**
 * @param pathPrefix an entry for this part of the registry is taken first, as podman writes them.
 * @returns the login, or in words why there is none: it follows the name of the file.
 */
export function findDockerLogin(
  text: string,
  host: RegistryHost,
  pathPrefix: string,
): DockerLoginAnswer {
  const document = parseJson(text)
  if (!isRecord(document)) return { problem: "is not the JSON of a docker client's config" }
  const auths = isRecord(document['auths']) ? document['auths'] : {}
  const entries = new Map(Object.entries(auths).map(([key, entry]) => [normalizeKey(key), entry]))
  const segments = pathPrefix === '' ? [] : pathPrefix.split('/')
  for (let length = segments.length; length >= 0; length--) {
    const entry = entries.get([host, ...segments.slice(0, length)].join('/'))
    if (isRecord(entry) && Object.keys(entry).length > 0) return readEntry(entry, host)
  }
  const helpers = document['credHelpers']
  const hasHelper = Boolean(document['credsStore']) || (isRecord(helpers) && host in helpers)
  const hint = hasHelper ? '; it leaves logins to a credential helper, which cannot be used' : ''
  return { problem: `has no login for ${host} in its "auths"${hint}` }
}

/** Old keys are URLs; Docker Hub's is `https://index.docker.io/v1/` to this day. */
function normalizeKey(key: string): string {
  const [host = '', ...path] = key
    .replace(/^https?:\/\//i, '')
    .replace(/\/(?:v[12]\/?)?$/, '')
    .split('/')
  try {
    return [parseRegistrySetting(host), ...path].join('/')
  } catch (error) {
    if (error instanceof InvalidSetting) return key
    throw error
  }
}

function readEntry(entry: Record<string, unknown>, host: RegistryHost): DockerLoginAnswer {
  const { auth, identitytoken, username, password } = entry
  // As docker does it: `auth` comes before the two keys that say the same.
  const pair = typeof auth === 'string' && auth !== '' ? splitAuth(auth) : [username, password]
  const [name, secret] = pair
  if (typeof name === 'string' && typeof secret === 'string' && name !== '' && secret !== '') {
    if (!/[:\p{Cc}]/u.test(name)) return { name, password: secret }
  }
  return identitytoken === undefined
    ? { problem: `has an entry for ${host} without a usable name and password` }
    : { problem: `has an identity token for ${host}, not a name and password` }
}

/** Base64 of `user:password`; docker pads it with NULs. */
function splitAuth(auth: string): [string, string] {
  const text = Buffer.from(auth, 'base64').toString()
  const colon = Math.max(text.indexOf(':'), 0)
  return [text.slice(0, colon), text.slice(colon + 1).replace(/\0+$/, '')]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
