/**
 * What `trow serve` says before its log begins: plain lines whose wording people and scripts that
 * run Trow today know.
 */
import type { Config, ImageValidation, RegistryProxies } from '../config/config.ts'
import { formatHostPort } from '../config/host-port.ts'
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

function hostnameLine([first, ...others]: Config['hostnames']): string {
  const also = others.length === 0 ? '' : ` (also: ${others.map(quoted).join(', ')})`
  return `Hostname of this registry: ${quoted(first)}${also}`
}

function imageValidationLines(validation: ImageValidation | undefined): string[] {
  if (validation === undefined) return ['Image validation webhook not configured']
  return [
    'Image validation webhook configured:',
    `  Default action: ${validation.default}`,
    `  Allowed prefixes: [${validation.allow.map(quoted).join(', ')}]`,
    `  Denied prefixes: [${validation.deny.map(quoted).join(', ')}]`,
  ]
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
