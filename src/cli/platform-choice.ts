/** `--platform os/arch[/variant]`: which of an index's images is meant. */
import { StartError } from '../lib/start-error.ts'
import type { Descriptor, Platform } from '../oci/descriptor.ts'
import { formatPlatform } from './format.ts'
import { usageError } from './usage-error.ts'

/** @throws StartError of exit code 2 */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...rest] = text.split('/')
  if (!os || !architecture || variant === '' || rest.length > 0) {
    throw usageError(`${JSON.stringify(text)} is no platform; write os/arch or os/arch/variant`)
  }
  return { os, architecture, ...(variant !== undefined && { variant }) }
}

/** Without a variant any variant will do. */
export function matchesPlatform(platform: Platform | undefined, wanted: Platform): boolean {
  return (
    platform !== undefined &&
    platform.os === wanted.os &&
    platform.architecture === wanted.architecture &&
    (wanted.variant === undefined || platform.variant === wanted.variant)
  )
}

/** The first child of an index for this platform. @throws StartError when there is none. */
export function choosePlatform(children: readonly Descriptor[], wanted: Platform): Descriptor {
  const found = children.find(({ platform }) => matchesPlatform(platform, wanted))
  if (found !== undefined) return found
  throw notForPlatform(
    children.flatMap(({ platform }) => (platform === undefined ? [] : [platform])),
    wanted,
  )
}

export function notForPlatform(
  available: readonly Platform[],
  ...wanted: readonly Platform[]
): StartError {
  const names = available.filter(({ os }) => os !== 'unknown').map(formatPlatform)
  const offer = names.length === 0 ? 'it names none' : `there is ${names.join(', ')}`
  const missing = wanted.map(formatPlatform).join(' or ')
  return new StartError(`there is no image for ${missing}; ${offer}`)
}
