/**
 * What is valid but probably not what somebody means: nobody may be left to think that something
 * protects or serves them that does not.
 */
import type { Config } from './config.ts'

export function configWarnings(config: Config): string[] {
  return [...openRegistry(config), ...laterSettings(config)]
}

function openRegistry({ auth }: Config): string[] {
  return auth.anonymousPull && auth.user === undefined
    ? ['anonymous pull is on but no user is set: everybody may pull, push and delete']
    : []
}

function laterSettings({ registryProxies, imageValidation }: Config): string[] {
  const names = [
    ...(registryProxies.prefetch === 'none' ? [] : ['registry_proxies.prefetch']),
    ...(registryProxies.defaultUpstream === undefined ? [] : ['registry_proxies.default_upstream']),
    ...(imageValidation === undefined ? [] : ['image_validation']),
  ]
  return names.map(
    (name) => `${name} is configured and valid, but this version does not act on it yet`,
  )
}
