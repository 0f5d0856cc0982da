/**
 * Makes the configuration from settings that have been read and the files that they name; nothing is
 * checked here any more.
 */
import type { PolicySettings } from '../admission/policy-settings.ts'
import type { RuleLists } from '../admission/rule-set.ts'
import { admissionServing, imageMutation } from './make-admission.ts'
import type { Config, RegistryProxies, RegistryProxy, User } from './config.ts'
import { type FileContents, tlsConfig } from './file-contents.ts'
import { given } from './given.ts'
import { formatHostPort } from './host-port.ts'
import type { Settings } from './schema.ts'
import { Secret } from './secret.ts'
import type { RetentionRule } from './tag-policy.ts'

export function makeConfig(
  settings: Settings,
  contents: FileContents,
  files: readonly string[],
): Config {
  const bind = settings.bind
  const [first = formatHostPort(bind), ...others] = settings.hostname
  return Object.freeze({
    bind,
    dataDir: settings.data_dir,
    hostnames: [first, ...others] as const,
    ...given('tls', tlsConfig(settings.tls, ['tls'], contents)),
    auth: {
      anonymousPull: settings.auth.anonymous_pull,
      ...user(settings.auth.user, settings.auth.password, contents(['auth'])),
    },
    cors: settings.cors,
    logLevel: settings.log_level,
    logFormat: settings.log_format,
    trustedProxies: settings.trusted_proxies,
    uploadIdleSeconds: settings.uploads.idle_timeout,
    storage: {
      ...given('maxBytes', settings.storage.max_size),
      ...given('minFreeBytes', settings.storage.min_free),
      verifiesReads: settings.storage.verify_reads,
    },
    collection: {
      isEnabled: settings.gc.enabled,
      intervalSeconds: settings.gc.interval,
      graceSeconds: settings.gc.grace,
      ...(settings.gc.untagged !== 'keep' && { untaggedSeconds: settings.gc.untagged }),
    },
    tagPolicy: { immutable: settings.immutable_tags, retention: settings.retention.map(retention) },
    shutdownGraceSeconds: settings.shutdown_grace,
    registryProxies: registryProxies(settings, contents),
    ...given('imageValidation', imageValidation(settings)),
    ...given('imageMutation', imageMutation(settings, first)),
    admission: admissionServing(settings, contents),
    scrub: {
      ...(settings.scrub.interval !== 'never' && { intervalSeconds: settings.scrub.interval }),
      rateBytes: settings.scrub.rate,
    },
    files,
  })
}

function retention(rule: Settings['retention'][number]): RetentionRule {
  return {
    repositories: rule.repositories,
    tags: rule.tags,
    keepAll: rule.keep_all,
    ...given('keepNewest', rule.keep_newest),
    ...given('keepPushedWithinSeconds', rule.keep_pushed_within),
    ...given('keepPulledWithinSeconds', rule.keep_pulled_within),
  }
}

function user(
  name: string | undefined,
  password: string | undefined,
  fromFile: string | undefined,
): { user?: User } {
  const value = fromFile ?? password
  return name === undefined || value === undefined
    ? {}
    : { user: { name, password: new Secret(value) } }
}

function registryProxies(
  { registry_proxies: section }: Settings,
  contents: FileContents,
): RegistryProxies {
  return {
    offline: section.offline,
    ...given('maxSizeBytes', section.max_size),
    tagTtlSeconds: section.tag_ttl,
    unknownTtlSeconds: section.unknown_ttl,
    ...given('defaultUpstream', section.default_upstream),
    allowUnlisted: section.allow_unlisted,
    prefetch: section.prefetch,
    registries: section.registries.map((entry, index) =>
      registryProxy(entry, (path) => contents(['registry_proxies', 'registries', index, ...path])),
    ),
  }
}

function registryProxy(
  entry: Settings['registry_proxies']['registries'][number],
  contents: FileContents,
): RegistryProxy {
  const [cert, key] = [contents(['client_cert_file']), contents(['client_key_file'])]
  const hasPair = cert !== undefined && key !== undefined
  return {
    host: entry.host,
    ...(entry.path_prefix && { pathPrefix: entry.path_prefix }),
    ...user(entry.username ?? contents(['username']), entry.password, contents([])),
    insecure: entry.insecure,
    skipVerify: entry.skip_verify,
    ...given('ca', contents(['ca_file'])),
    ...given('clientCertificate', hasPair ? { cert, key: new Secret(key) } : undefined),
    endpoints: entry.endpoints,
    ...given('authHosts', entry.auth_hosts),
    ...given('connectTimeoutSeconds', entry.connect_timeout),
    ...given('headersTimeoutSeconds', entry.headers_timeout),
    ...given('maxConnections', entry.max_connections),
    ...given('requestsPerSecond', entry.requests_per_second),
  }
}

function imageValidation({ image_validation: section }: Settings): PolicySettings | undefined {
  if (section === undefined) return undefined
  const { service_accounts: serviceAccounts, ...exempt } = section.exempt
  return {
    default: section.default,
    ...ruleLists(section),
    mode: section.mode,
    requireDigest: section.require_digest,
    validateWorkloads: section.validate_workloads,
    enforceAtPull: section.enforce_at_pull,
    namespaces: section.namespaces.map((entry) => ({
      names: entry.names,
      inherit: entry.inherit,
      ...given('default', entry.default),
      ...given('mode', entry.mode),
      ...given('requireDigest', entry.require_digest),
      ...given('validateWorkloads', entry.validate_workloads),
      ...ruleLists(entry),
    })),
    exempt: { ...exempt, serviceAccounts },
  }
}

type WrittenLists = Pick<NonNullable<Settings['image_validation']>, 'allow' | 'deny'>

function ruleLists({ allow, deny }: WrittenLists): RuleLists {
  const read = ({ image, message }: WrittenLists['allow'][number]) => ({
    image,
    ...given('message', message),
  })
  return { allow: allow.map(read), deny: deny.map(read) }
}
