/**
 * Images as a policy sees them: whatever the spelling in a pod, one image has one name here, and no
 * name of another registry ends up as this one's. Beyond the normal form of references, the default
 * port of HTTPS is no part of a host, and an IPv4 address in IPv6 notation is an IPv4 address.
 */
import { parseAddress } from '../lib/ip-address.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import {
  dockerHub,
  type ImageReference,
  parseImageReference,
  parseRegistryHost,
  parseRepositoryIn,
  type RegistryHost,
} from '../oci/image-reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'

export interface JudgedImage {
  readonly host: RegistryHost
  readonly repository: RepositoryName
  /** Absent only where a digest is present. */
  readonly tag?: Tag
  /** Where there is one, it alone says what runs. */
  readonly digest?: Digest
}

/** @throws OciError NAME_INVALID, TAG_INVALID or DIGEST_INVALID for what no node could pull. */
export function parseJudgedImage(text: string): JudgedImage {
  // A node that has this image runs it, whichever registry it came from; the policy would see a tag.
  if (/^(?:sha\d{3}|blake3):[0-9a-f]+$/i.test(text)) {
    throw new OciError('NAME_INVALID', { message: 'it is an image ID, which names no registry' })
  }
  return makeJudgedImage(parseImageReference(text))
}

type ReadImage = Pick<ImageReference, 'registry' | 'repository' | 'tag' | 'digest'>

/** With the registry in its normal spelling. @throws OciError NAME_INVALID */
export function makeJudgedImage({ registry, repository, tag, digest }: ReadImage): JudgedImage {
  const host = normalHost(registry)
  return {
    host,
    repository: host === registry ? repository : parseRepositoryIn(host, repository),
    ...(tag && { tag }),
    ...(digest && { digest }),
  }
}

/** @param host lower case, as {@link parseRegistryHost} gives it. */
export function normalHost(host: RegistryHost): RegistryHost {
  if (host === dockerHub) return host
  const withoutPort = host.endsWith(':443') ? parseRegistryHost(host.slice(0, -4)) : host
  return withoutPort.startsWith('[::ffff:') ? mappedHost(withoutPort) : withoutPort
}

/** `[::ffff:a00:1]:5000` is where `10.0.0.1:5000` is. */
function mappedHost(host: RegistryHost): RegistryHost {
  const end = host.indexOf(']')
  const address = parseAddress(host.slice(1, end))
  return address === undefined || address.includes(':')
    ? host
    : ((address + host.slice(end + 1)) as RegistryHost)
}

/** `host/repository[:tag][@digest]` */
export function formatJudgedImage({ host, repository, tag, digest }: JudgedImage): string {
  const tagged = tag === undefined ? '' : `:${tag}`
  return `${host}/${repository}${tagged}${digest === undefined ? '' : `@${digest}`}`
}
