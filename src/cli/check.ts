/**
 * `trow check`: validates the configuration and prints what would be in force, as a configuration
 * file with a note of where each setting comes from. Secrets are not in it.
 */
import { Document, isMap, isScalar, isSeq, type YAMLMap } from 'yaml'
import type { Config, RegistryProxy, User } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import { formatHostPort } from '../config/host-port.ts'
import type { KeyPath } from '../config/layer.ts'
import { type ConfigSources, loadConfig, type LoadedConfig } from '../config/load.ts'
import type { Host } from './host.ts'

/** @throws ConfigError */
export async function check(sources: ConfigSources, host: Host): Promise<void> {
  const loaded = await loadConfig(sources)
  for (const warning of loaded.warnings) host.writeError(`trow: warning: ${warning}\n`)
  host.write(describeConfig(loaded))
}

export function describeConfig(loaded: LoadedConfig): string {
  const document = new Document(settingsOf(loaded.config))
  if (isMap(document.contents)) annotate(document.contents, [], loaded)
  return document.toString({ lineWidth: 0, flowCollectionPadding: false })
}

function annotate(map: YAMLMap, path: KeyPath, loaded: LoadedConfig): void {
  for (const { key, value } of map.items) {
    const inner = [...path, isScalar(key) ? String(key.value) : '']
    if (isMap(value)) annotate(value, inner, loaded)
    if (isSeq(value)) value.flow = true
    if (isScalar(value) || isSeq(value)) value.comment = ` ${loaded.origin(inner) ?? 'default'}`
  }
}

/** In the words of the schema; what is not set is left out. */
function settingsOf(config: Config): object {
  const { tls, auth, imageValidation, registryProxies } = config
  return {
    bind: formatHostPort(config.bind),
    data_dir: config.dataDir,
    hostname: config.hostnames,
    ...(tls && { tls: { cert: tls.certFile, key: tls.keyFile } }),
    auth: { ...login(auth.user, 'user'), anonymous_pull: auth.anonymousPull },
    cors: config.cors,
    log_level: config.logLevel,
    log_format: config.logFormat,
    trusted_proxies: config.trustedProxies,
    uploads: { idle_timeout: formatDuration(config.uploadIdleSeconds) },
    shutdown_grace: formatDuration(config.shutdownGraceSeconds),
    registry_proxies: {
      offline: registryProxies.offline,
      ...(registryProxies.maxSizeBytes && { max_size: `${registryProxies.maxSizeBytes} bytes` }),
      registries: registryProxies.registries.map(registryOf),
    },
    ...(imageValidation && { image_validation: imageValidation }),
  }
}

function registryOf({ host, pathPrefix, user, insecure }: RegistryProxy): object {
  return {
    host,
    ...(pathPrefix && { path_prefix: pathPrefix }),
    ...login(user, 'username'),
    insecure,
  }
}

function login(user: User | undefined, nameKey: string): object {
  return user === undefined ? {} : { [nameKey]: user.name, password: String(user.password) }
}
