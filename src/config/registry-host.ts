/**
 * Other registries as settings name them, `host` or `host:port`, every alias of Docker Hub as
 * `docker.io`; and patterns of them, in which a leading `*.` stands for any names in front.
 */
import { isIP } from 'node:net'
import { OciError } from '../oci/errors.ts'
import { parseRegistryHost, type RegistryHost } from '../oci/image-reference.ts'
import { formatHostPort, parseHostPort } from './host-port.ts'
import { InvalidSetting } from './invalid-setting.ts'

const anyName = '*.'

/** @throws InvalidSetting */
export function parseRegistrySetting(text: string): RegistryHost {
  // First the reader of all settings with hosts: it takes `::1`, and says what of a URL is too much.
  const hostPort = formatHostPort(parseHostPort(text))
  try {
    return parseRegistryHost(hostPort)
  } catch (error) {
    if (error instanceof OciError) throw new InvalidSetting(error.message)
    throw error
  }
}

/** @returns `ghcr.io`, `registry.example.com:5000` or `*.example.com`. @throws InvalidSetting */
export function parseHostPattern(text: string): string {
  if (!text.includes('*')) return parseRegistrySetting(text)
  if (text === '*') throw new InvalidSetting('for every registry write true instead of "*"')
  const domain = text.startsWith(anyName) ? text.slice(anyName.length).toLowerCase() : ''
  if (domain === '' || domain.includes('*') || isIP(parseHostPort(domain).host) !== 0) {
    throw new InvalidSetting(
      `expected a host such as "ghcr.io", or "*." and a domain, found "${text}"`,
    )
  }
  parseRegistrySetting(domain)
  // Not as it was parsed: `*.index.docker.io` has nothing to do with `*.docker.io`.
  return `${anyName}${domain}`
}
