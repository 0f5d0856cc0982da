/**
 * Hosts of Amazon's private registries, in all its partitions: those that want a login with the AWS
 * credentials chain. The forms are those that amazon-ecr-credential-helper knows.
 */

export interface EcrHost {
  readonly region: string
  /** Its partition's validated cryptography (FIPS 140) is wanted, also for logging in. */
  readonly fips: boolean
  /** It has IPv6 addresses too, and whoever names it so may have no others. */
  readonly dualStack: boolean
}

const name = /^[0-9]{12}\.dkr[.-]ecr(?<fips>-fips)?\.(?<region>[a-z0-9][a-z0-9_-]*)\./

const partitions: ReadonlySet<string> = new Set([
  'amazonaws.com',
  'amazonaws.com.cn',
  'amazonaws.eu',
  'on.aws',
  'on.amazonwebservices.com.cn',
  'sc2s.sgov.gov',
  'c2s.ic.gov',
  'cloud.adc-e.uk',
  'csp.hci.ic.gov',
])

/** @returns undefined for every other host; `public.ecr.aws` logs in as others do. */
export function parseEcrHost(host: string): EcrHost | undefined {
  const match = name.exec(host)
  const region = match?.groups?.['region']
  if (match === null || region === undefined) return undefined
  const suffix = host.slice(match[0].length)
  if (!partitions.has(suffix)) return undefined
  return { region, fips: match.groups?.['fips'] !== undefined, dualStack: suffix.startsWith('on.') }
}
