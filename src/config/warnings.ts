/**
 * What is valid but probably not what somebody means: nobody may be left to think that something
 * protects or serves them that does not.
 */
import type { Config } from './config.ts'

export function configWarnings(config: Config): string[] {
  return [...openRegistry(config), ...laterSections(config)]
}

function openRegistry({ auth }: Config): string[] {
  return auth.anonymousPull && auth.user === undefined
    ? ['anonymous pull is on but no user is set: everybody may pull, push and delete']
    : []
}

function laterSections({ registryProxies, imageValidation }: Config): string[] {
  const { registries, offline, maxSizeBytes } = registryProxies
  const hasProxies = registries.length > 0 || offline || maxSizeBytes !== undefined
  const sections = [
    ...(hasProxies ? ['registry_proxies'] : []),
    ...(imageValidation === undefined ? [] : ['image_validation']),
  ]
  return sections.map(
    (name) => `${name} is configured and valid, but this version does not act on it yet`,
  )
}
