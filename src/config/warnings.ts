/**
 * What is valid but probably not what somebody means: nobody may be left to think that something
 * protects or serves them that does not.
 */
import { listPolicyProblems } from '../admission/policy-problems.ts'
import type { Config } from './config.ts'
import { formatHostPort } from './host-port.ts'
import { limits } from './limits.ts'

export function configWarnings(config: Config): string[] {
  return [...openRegistry(config), ...policyProblems(config), ...uselessMutation(config)]
}

function openRegistry({ auth }: Config): string[] {
  return auth.anonymousPull && auth.user === undefined
    ? ['anonymous pull is on but no user is set: everybody may pull, push and delete']
    : []
}

function uselessMutation({ imageMutation, registryProxies }: Config): string[] {
  return imageMutation !== undefined && registryProxies.registries.length === 0
    ? [
        'image_mutation changes images of the registries in registry_proxies.registries only, and there ' +
          'are none: add those that nodes are to pull through this registry',
      ]
    : []
}

function policyProblems({ imageValidation, hostnames, bind }: Config): string[] {
  if (imageValidation === undefined) return []
  const isNameless = hostnames.length === 1 && hostnames[0] === formatHostPort(bind)
  return [
    ...listPolicyProblems(imageValidation, limits.configProblemsShownMax),
    ...(imageValidation.enforceAtPull && isNameless
      ? [
          'image_validation.enforce_at_pull judges the images of this registry by its names: ' +
            'without --hostname no rule can be for them',
        ]
      : []),
  ]
}
