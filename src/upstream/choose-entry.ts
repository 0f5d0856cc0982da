/**
 * Which entry of the configuration a repository of another registry falls under. Credentials follow
 * from it, so a prefix only fits whole segments of a path, and nothing of one entry is lent to
 * what another one is for.
 */
import { parseRegistryHost, type RegistryHost } from '../oci/image-reference.ts'
import type { UpstreamRepository } from '../registry/ports/upstream.ts'
import type { UpstreamEntry, UpstreamSettings } from './upstream-settings.ts'

export interface ChosenEntry {
  readonly entry: UpstreamEntry
  /** False for a host that the configuration does not name: it must prove to be a public one. */
  readonly listed: boolean
}

/**
 * @param settings canonical ones.
 * @returns undefined for a host that must not be asked at all.
 */
export function chooseEntry(
  settings: UpstreamSettings,
  { host, repository }: UpstreamRepository,
): ChosenEntry | undefined {
  const ofHost = settings.registries.filter((entry) => entry.host === host)
  const fitting = ofHost
    .filter(({ pathPrefix }) => isUnder(repository, pathPrefix))
    .toSorted((one, other) => (other.pathPrefix?.length ?? 0) - (one.pathPrefix?.length ?? 0))
  const [best] = fitting
  if (best !== undefined) return { entry: best, listed: true }
  const [first] = ofHost
  if (first !== undefined) return { entry: withoutIdentity(first), listed: true }
  return mayBeUnlisted(settings.allowUnlisted, host)
    ? { entry: { host, insecure: false, skipVerify: false, endpoints: [] }, listed: false }
    : undefined
}

function isUnder(repository: string, prefix: string | undefined): boolean {
  return prefix === undefined || `${repository}/`.startsWith(`${prefix}/`)
}

/** How a host is reached is the same for all of it; who asks is a matter of each entry. */
export function withoutIdentity(from: UpstreamEntry): UpstreamEntry {
  const { user: _user, clientCertificate: _certificate, pathPrefix: _prefix, ...entry } = from
  return entry
}

/** `*.example.com` is any host below `example.com`; a port counts as part of a host's name. */
export function mayBeUnlisted(allowed: boolean | readonly string[], host: RegistryHost): boolean {
  if (typeof allowed === 'boolean') return allowed
  return allowed.some((pattern) => {
    const text = pattern.toLowerCase()
    if (text === '*') return true
    if (text.startsWith('*.')) return host.endsWith(text.slice(1)) && !text.slice(1).includes('*')
    return canonical(text) === host
  })
}

function canonical(pattern: string): string | undefined {
  try {
    return parseRegistryHost(pattern)
  } catch {
    return undefined
  }
}

/** Entries with their hosts in the one form in which hosts are compared. */
export function canonicalSettings(settings: UpstreamSettings): UpstreamSettings {
  const registries = settings.registries.map((entry) => ({
    ...entry,
    host: parseRegistryHost(entry.host),
  }))
  return { ...settings, registries }
}
