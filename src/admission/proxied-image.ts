/**
 * Images of other registries under a name of this one: `trow.example/f/quay.io/app` is the image
 * `quay.io/app`, and a policy that trusts the first name alone would trust every registry there is.
 */
import { OciError } from '../oci/errors.ts'
import { isProxiedName, parseProxiedName } from '../oci/proxied-name.ts'
import { isSameHost } from '../oci/same-host.ts'
import { type JudgedImage, makeJudgedImage } from './judged-image.ts'

/** An image under one of its names. */
export interface ImageName {
  readonly image: JudgedImage
  /** Whether the name is one of this registry, which has what the next name stands for. */
  readonly isOwn: boolean
}

/**
 * @param ownHosts names of this registry. It may be reached by others that it does not know of, so
 *   any host may be one where the path names a registry that cannot be anything else.
 * @returns the image and what it stands for, one behind the other; the last one is no such name.
 */
export function unwrapImage(image: JudgedImage, ownHosts: readonly string[]): ImageName[] {
  const names: ImageName[] = []
  let next: JudgedImage | undefined = image
  while (next !== undefined) {
    const { host }: JudgedImage = next
    const isOwn = ownHosts.some((own) => isSameHost(own, host))
    names.push({ image: next, isOwn })
    next = standsFor(next, isOwn)
  }
  return names
}

function standsFor(image: JudgedImage, isOwn: boolean): JudgedImage | undefined {
  if (!isProxiedName(image.repository)) return undefined
  const [, upstream = ''] = image.repository.split('/')
  if (!isOwn && !/\.|_\d{1,5}_?$|^localhost$/.test(upstream)) return undefined
  try {
    const { host, repository } = parseProxiedName(image.repository)
    return makeJudgedImage({ ...image, registry: host, repository })
  } catch (error) {
    // A path that this registry refuses, too.
    if (error instanceof OciError) return undefined
    throw error
  }
}
