/**
 * `trow check`: validates the configuration and prints what would be in force, as a configuration
 * file with a note of where each setting comes from. Secrets are not in it.
 */
import { Document, isMap, isScalar, isSeq, type YAMLMap, type YAMLSeq } from 'yaml'
import type { PolicySettings } from '../admission/policy-settings.ts'
import type { ImageRule } from '../admission/rule.ts'
import type { RuleLists } from '../admission/rule-set.ts'
import type { RegistryProxy, User } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import { formatHostPort } from '../config/host-port.ts'
import type { KeyPath } from '../config/layer.ts'
import { type ConfigSources, loadConfig, type LoadedConfig } from '../config/load.ts'
import { admissionOf, mutationOf } from './check-admission.ts'
import { contentOf } from './check-content.ts'
import type { Host } from './host.ts'

/** @throws ConfigError */
export async function check(sources: ConfigSources, host: Host): Promise<void> {
  const loaded = await loadConfig(sources)
  for (const warning of loaded.warnings) host.writeError(`trow: warning: ${warning}\n`)
  host.write(describeConfig(loaded))
}

export function describeConfig(loaded: LoadedConfig): string {
  const document = new Document(settingsOf(loaded))
  if (isMap(document.contents)) annotate(document.contents, [], loaded)
  return document.toString({ lineWidth: 0, flowCollectionPadding: false })
}

function annotate(map: YAMLMap, path: KeyPath, loaded: LoadedConfig): void {
  for (const { key, value } of map.items) {
    const inner = [...path, isScalar(key) ? String(key.value) : '']
    if (isMap(value)) annotate(value, inner, loaded)
    else if (isSeq(value) && value.items.some(isMap)) annotateEntries(value, inner, loaded)
    else if (isScalar(value) || isSeq(value)) {
      if (isSeq(value)) value.flow = true
      value.comment = ` ${loaded.origin(inner) ?? 'default'}`
    }
  }
}

function annotateEntries(list: YAMLSeq, path: KeyPath, loaded: LoadedConfig): void {
  list.items.forEach((entry, index) => {
    if (isMap(entry)) annotate(entry, [...path, index], loaded)
  })
}

/** In the words of the schema; what is not set is left out. */
function settingsOf(loaded: LoadedConfig): object {
  const { config } = loaded
  const { tls, auth, imageValidation } = config
  return {
    bind: formatHostPort(config.bind),
    data_dir: config.dataDir,
    hostname: config.hostnames,
    ...(tls && { tls: { cert: tls.certFile, key: tls.keyFile } }),
    auth: { ...login(auth.user, ['auth'], loaded), anonymous_pull: auth.anonymousPull },
    cors: config.cors,
    log_level: config.logLevel,
    log_format: config.logFormat,
    trusted_proxies: config.trustedProxies,
    uploads: { idle_timeout: formatDuration(config.uploadIdleSeconds) },
    ...contentOf(config),
    shutdown_grace: formatDuration(config.shutdownGraceSeconds),
    registry_proxies: proxiesOf(loaded),
    ...(imageValidation && { image_validation: policyOf(imageValidation) }),
    ...(config.imageMutation && { image_mutation: mutationOf(config.imageMutation) }),
    admission: admissionOf(config.admission),
  }
}

function proxiesOf(loaded: LoadedConfig): object {
  const { registryProxies: proxies } = loaded.config
  return {
    offline: proxies.offline,
    ...(proxies.maxSizeBytes && { max_size: `${proxies.maxSizeBytes} bytes` }),
    tag_ttl: formatDuration(proxies.tagTtlSeconds),
    unknown_ttl: formatDuration(proxies.unknownTtlSeconds),
    ...(proxies.defaultUpstream && { default_upstream: proxies.defaultUpstream }),
    allow_unlisted: proxies.allowUnlisted,
    prefetch: proxies.prefetch,
    registries: proxies.registries.map((registry, index) =>
      registryOf(registry, ['registry_proxies', 'registries', index], loaded),
    ),
  }
}

function policyOf(policy: PolicySettings): object {
  const { requireDigest, validateWorkloads, enforceAtPull, namespaces, exempt } = policy
  const { serviceAccounts, ...exemptions } = exempt
  return {
    default: policy.default,
    ...listsOf(policy),
    mode: policy.mode,
    require_digest: requireDigest,
    validate_workloads: validateWorkloads,
    enforce_at_pull: enforceAtPull,
    namespaces: namespaces.map((entry) => ({
      names: entry.names,
      inherit: entry.inherit,
      ...(entry.default && { default: entry.default }),
      ...(entry.mode && { mode: entry.mode }),
      ...(entry.requireDigest !== undefined && { require_digest: entry.requireDigest }),
      ...(entry.validateWorkloads && { validate_workloads: entry.validateWorkloads }),
      ...listsOf(entry),
    })),
    exempt: { ...exemptions, service_accounts: serviceAccounts },
  }
}

/** A rule without more to it is a line of text. */
function listsOf({ allow, deny }: RuleLists): object {
  const written = (rule: ImageRule) => (rule.message === undefined ? rule.image : rule)
  return { allow: allow.map(written), deny: deny.map(written) }
}

function registryOf(registry: RegistryProxy, path: KeyPath, loaded: LoadedConfig): object {
  const { pathPrefix, connectTimeoutSeconds, headersTimeoutSeconds } = registry
  const { maxConnections, requestsPerSecond } = registry
  return {
    host: registry.host,
    ...(pathPrefix && { path_prefix: pathPrefix }),
    ...login(registry.user, path, loaded),
    insecure: registry.insecure,
    skip_verify: registry.skipVerify,
    ...files(['ca_file', 'client_cert_file', 'client_key_file'], path, loaded),
    endpoints: registry.endpoints,
    ...(registry.authHosts && { auth_hosts: registry.authHosts }),
    ...(connectTimeoutSeconds && { connect_timeout: formatDuration(connectTimeoutSeconds) }),
    ...(headersTimeoutSeconds && { headers_timeout: formatDuration(headersTimeoutSeconds) }),
    ...(maxConnections && { max_connections: maxConnections }),
    ...(requestsPerSecond && { requests_per_second: requestsPerSecond }),
  }
}

/** A password is hidden; the file that it comes from is named. */
function login(user: User | undefined, path: KeyPath, loaded: LoadedConfig): object {
  if (user === undefined) return {}
  const nameKey = path.length === 1 ? 'user' : 'username'
  const from = files(['password_file', 'docker_config_file'], path, loaded)
  const isFromFile = Object.keys(from).length > 0
  const name = 'docker_config_file' in from ? {} : { [nameKey]: user.name }
  return { ...name, ...(isFromFile ? from : { password: String(user.password) }) }
}

/** Those of the keys that are set, with the names of the files. */
function files(keys: readonly string[], path: KeyPath, loaded: LoadedConfig): object {
  const names = keys.map((key) => [key, loaded.written([...path, key]) ?? undefined])
  return Object.fromEntries(names.filter(([, name]) => name !== undefined))
}
