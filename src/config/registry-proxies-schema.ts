/**
 * The section `registry_proxies` of the configuration file: how other registries are reached. All
 * that today's Trow has in it is read the same.
 */
import * as z from 'zod'
import { parseByteSize } from './byte-size.ts'
import { formatDuration } from './duration.ts'
import { formatHostPort, parseHostPort } from './host-port.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { limits } from './limits.ts'
import { parseHostPattern, parseRegistrySetting } from './registry-host.ts'
import {
  duration,
  listOf,
  number,
  optional,
  password,
  read,
  text,
  userName,
  withDefault,
} from './schema-fields.ts'

export const prefetchChoices = ['none', 'layers'] as const

const registryHost = read(z.string(), parseRegistrySetting)
const timeout = duration(limits.proxyTimeoutSecondsMin, limits.proxyTimeoutSecondsMax)

const connections = number(
  `expected a whole number from 1 to ${limits.proxyConnectionsMax}`,
  (value) => Number.isInteger(value) && value >= 1 && value <= limits.proxyConnectionsMax,
)

const requestRate = number(
  `expected a number from ${limits.proxyRequestsPerSecondMin} to ${limits.proxyRequestsPerSecondMax}`,
  (value) => value >= limits.proxyRequestsPerSecondMin && value <= limits.proxyRequestsPerSecondMax,
)

/** Not a union: of that it could only be said that none of its parts fits. */
const allowUnlisted = z.unknown().transform((value, context): boolean | readonly string[] => {
  if (typeof value === 'boolean') return value
  const patterns = typeof value === 'string' ? [value] : value
  const fail = (message: string, path: PropertyKey[]) =>
    context.issues.push({ code: 'custom', message, input: value, path })
  if (!Array.isArray(patterns)) {
    fail('expected true, false or a list of hosts such as "ghcr.io" and "*.example.com"', [])
    return z.NEVER
  }
  return patterns.flatMap((pattern: unknown, index) => {
    try {
      if (typeof pattern === 'string') return [parseHostPattern(pattern)]
      fail('expected text, a host such as "ghcr.io"', [index])
    } catch (error) {
      if (!(error instanceof InvalidSetting)) throw error
      fail(error.message, [index])
    }
    return []
  })
})

const endpoints = read(listOf(registryHost), eachOnce)

/** Not as registries are named: a token service of Docker Hub is no other name for Docker Hub. */
const authHosts = read(
  listOf(read(z.string(), (text) => formatHostPort(parseHostPort(text)))),
  eachOnce,
)

const registryProxy = z.strictObject({
  host: registryHost.meta({ description: 'Registry this entry is for, as images name it' }),
  path_prefix: optional(read(z.string(), trimSlashes), {
    description: 'Only for repositories below this path; the longest prefix that fits is used',
  }),
  username: optional(userName, { description: 'Name to log in there with' }),
  password: optional(password, {
    description: 'Password to log in there with, or `file://PATH` to read it from a file',
  }),
  password_file: optional(text, { description: 'File that holds that password' }),
  docker_config_file: optional(text, {
    description: "Docker's `config.json`, from which name and password of the host are taken",
  }),
  insecure: withDefault(z.boolean(), {
    description: 'Speaks HTTP instead of HTTPS to it',
    initial: false,
  }),
  skip_verify: withDefault(z.boolean(), {
    description: 'Accepts any certificate of it',
    initial: false,
  }),
  ca_file: optional(text, {
    description: 'File with authorities (PEM) whose certificates are accepted too',
  }),
  client_cert_file: optional(text, {
    description: 'File with the certificate chain (PEM) that is shown to it',
  }),
  client_key_file: optional(text, {
    description: 'File with the private key of that certificate, PEM, without a passphrase',
  }),
  endpoints: withDefault(endpoints, {
    description: 'Hosts that are asked instead of it, in this order',
    initial: [],
  }),
  auth_hosts: optional(authHosts, {
    description: 'Token services on other sites that may be given its login',
  }),
  connect_timeout: optional(timeout, { description: 'Time until a connection to it stands' }),
  headers_timeout: optional(timeout, { description: 'Time until it begins to answer' }),
  max_connections: optional(connections, { description: 'Connections to it at a time' }),
  requests_per_second: optional(requestRate, { description: 'Requests it is sent in a second' }),
})

export const registryProxies = z.strictObject({
  offline: withDefault(z.boolean(), {
    description: 'Asks no other registry, serves what is cached',
    initial: false,
  }),
  max_size: optional(read(z.union([z.string(), z.number()]), parseByteSize), {
    description: 'Disk that cached content may take',
  }),
  tag_ttl: withDefault(duration(0, limits.proxyTagTtlSecondsMax), {
    description: 'For this long after a check a tag is served without asking again',
    initial: formatDuration(0),
  }),
  unknown_ttl: withDefault(duration(0, limits.proxyUnknownTtlSecondsMax), {
    description: 'For this long it is remembered that a registry does not have something',
    initial: formatDuration(limits.proxyUnknownTtlSecondsDefault),
  }),
  default_upstream: optional(registryHost, {
    description: 'Registry that is meant by a path that names none',
  }),
  allow_unlisted: withDefault(allowUnlisted, {
    description: 'Whether registries without an entry may be pulled from, or a list of those',
    initial: true,
  }),
  prefetch: withDefault(z.enum(prefetchChoices), {
    description: 'What is fetched before it is asked for: `none`, or `layers` of a manifest',
    initial: 'none',
  }),
  registries: withDefault(z.array(registryProxy), {
    description: 'Registries that need a login or other settings; all others need no entry',
    initial: [],
  }),
})

function eachOnce<T extends string>(hosts: readonly T[]): readonly T[] {
  const twice = hosts.find((host, index) => hosts.indexOf(host) !== index)
  if (twice === undefined) return hosts
  throw new InvalidSetting(`${twice} is in the list twice`)
}

function trimSlashes(value: string): string {
  return value.replaceAll(/^\/+|\/+$/g, '')
}
