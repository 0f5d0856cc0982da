/**
 * What `trow serve` says before its log begins: plain lines whose wording people and scripts that
 * run Trow today know.
 */
import type { PolicySettings } from '../admission/policy-settings.ts'
import type { ImageRule } from '../admission/rule.ts'
import type { Config, RegistryProxies } from '../config/config.ts'
import { formatHostPort } from '../config/host-port.ts'
import { limits } from '../config/limits.ts'
import { version } from '../config/version.ts'

export function startUpLines(config: Config): string[] {
  return [
    `Starting Trow ${version} on ${formatHostPort(config.bind)}`,
    hostnameLine(config.hostnames),
    ...imageValidationLines(config.imageValidation),
    ...registryProxyLines(config.registryProxies),
    ...(config.cors.length > 0 ? ['Cross-Origin Resource Sharing(CORS) requests are allowed'] : []),
  ]
}

/** What `trow webhook` says. */
export function webhookLines(config: Config): string[] {
  return [
    `Starting Trow ${version} webhooks on ${formatHostPort(config.admission.bind)}`,
    `Probes and metrics on ${formatHostPort(config.bind)}`,
    ...imageValidationLines(config.imageValidation),
  ]
}

function hostnameLine([first, ...others]: Config['hostnames']): string {
  const also = others.length === 0 ? '' : ` (also: ${others.map(quoted).join(', ')})`
  return `Hostname of this registry: ${quoted(first)}${also}`
}

function imageValidationLines(policy: PolicySettings | undefined): string[] {
  if (policy === undefined) return ['Image validation webhook not configured']
  return [
    'Image validation webhook configured:',
    `  Default action: ${policy.default}`,
    `  Allowed prefixes: [${ruleList(policy.allow)}]`,
    `  Denied prefixes: [${ruleList(policy.deny)}]`,
    ...(policy.mode === 'enforce' ? [] : [`  Mode: ${policy.mode}`]),
    ...(policy.requireDigest ? ['  Digests required'] : []),
    ...(policy.enforceAtPull ? ['  Enforced at pull'] : []),
    ...policy.namespaces.map(
      ({ names }) => `  Namespaces with rules of their own: ${names.join(', ')}`,
    ),
  ]
}

/** The whole of a list is in the configuration; `trow policy explain` shows how it is understood. */
function ruleList(rules: readonly ImageRule[]): string {
  const shown = rules.slice(0, limits.startUpRulesShownMax).map(({ image }) => quoted(image))
  const rest = rules.length - shown.length
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join(', ')
}

function registryProxyLines({ registries, offline }: RegistryProxies): string[] {
  if (registries.length === 0) return ['Proxy registries not configured']
  const lines = registries.map(({ host, pathPrefix, insecure }) => {
    const name = pathPrefix === undefined ? host : `${host}/${pathPrefix}`
    const notes = [...(offline ? ['offline'] : []), ...(insecure ? ['insecure'] : [])]
    return notes.length === 0 ? `  - ${name}` : `  - ${name} (${notes.join(', ')})`
  })
  return ['Proxy registries configured:', ...lines]
}

function quoted(text: string): string {
  return JSON.stringify(text)
}
