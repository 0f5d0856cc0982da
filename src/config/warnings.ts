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

function laterSettings({ imageValidation }: Config): string[] {
  return imageValidation === undefined
    ? []
    : ['image_validation is configured and valid, but this version does not act on it yet']
}
