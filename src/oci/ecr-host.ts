/**
 * Hosts of Amazon's private registries, in all its partitions: those that want a login with the AWS
 * credentials chain. The forms are those that amazon-ecr-credential-helper knows.
 */

export interface EcrHost {
  readonly region: string
}

const name = /^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.(?<region>[a-z0-9][a-z0-9_-]*)\./

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
  if (!partitions.has(host.slice(match[0].length))) return undefined
  return { region }
}
