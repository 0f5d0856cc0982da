/**
 * Images of other registries under a name of this one: `trow.example/f/quay.io/app` is the image
 * `quay.io/app`, and a policy that trusts the first name alone would trust every registry there is.
 */
import { OciError } from '../oci/errors.ts'
import { isProxiedPath, parseProxiedPath } from '../oci/proxied-path.ts'
import { isSameHost } from '../oci/same-host.ts'
import { type JudgedImage, makeJudgedImage } from './judged-image.ts'

/**
 * @param ownHosts names of this registry. It may be reached by others that it does not know of, so
 *   any host is taken for one where the path names a registry that cannot be anything else.
 * @returns the image and what it stands for, one behind the other; the last one is no such name.
 */
export function unwrapImage(image: JudgedImage, ownHosts: readonly string[]): JudgedImage[] {
  const chain = [image]
  for (;;) {
    const inner = standsFor(chain.at(-1) ?? image, ownHosts)
    if (inner === undefined) return chain
    chain.push(inner)
  }
}

function standsFor(image: JudgedImage, ownHosts: readonly string[]): JudgedImage | undefined {
  if (!isProxiedPath(image.repository)) return undefined
  const [, upstream = ''] = image.repository.split('/')
  const isOwn = ownHosts.some((host) => isSameHost(host, image.host))
  if (!isOwn && !/\.|_\d{1,5}_?$|^localhost$/.test(upstream)) return undefined
  try {
    const { host, repository } = parseProxiedPath(image.repository)
    return makeJudgedImage({ ...image, registry: host, repository })
  } catch (error) {
    // A path that this registry refuses, too.
    if (error instanceof OciError) return undefined
    throw error
  }
}
