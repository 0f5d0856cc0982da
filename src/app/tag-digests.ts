/** What digest a tag has now, by this registry's own content and its cache: for pinning images of pods. */
import type { JudgedImage } from '../admission/judged-image.ts'
import type { TagDigests } from '../http/routes/mutation.ts'
import type { Digest } from '../oci/digest.ts'
import { isProxiedName, parseProxiedName } from '../oci/proxied-name.ts'
import { isSameHost } from '../oci/same-host.ts'
import type { Manifests } from '../registry/manifests.ts'
import type { PullThrough } from '../registry/pull-through.ts'
import type { RequestContext } from '../registry/request-context.ts'
import type { Foundation } from './foundation.ts'

interface Parts {
  readonly manifests: Manifests
  readonly pullThrough: PullThrough
  /** Names of this registry. */
  readonly hostnames: () => readonly string[]
}

export function makeTagDigests(
  { config, onReload }: Pick<Foundation, 'config' | 'onReload'>,
  parts: Omit<Parts, 'hostnames'>,
): TagDigests {
  let { hostnames } = config
  onReload.push((changed) => (hostnames = changed.hostnames))
  return new RegistryTagDigests({ ...parts, hostnames: () => hostnames })
}

class RegistryTagDigests implements TagDigests {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async find(
    context: RequestContext,
    image: JudgedImage,
    seconds: number,
  ): Promise<Digest | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => resolve(undefined), seconds * 1000)
    const found = this.#find(context, image).catch((error: unknown) => {
      context.log.debug({ err: error }, 'a tag could not be pinned')
      return undefined
    })
    try {
      return await Promise.race([found, late])
    } finally {
      clearTimeout(timer)
    }
  }

  async #find(context: RequestContext, image: JudgedImage): Promise<Digest | undefined> {
    const { manifests, pullThrough, hostnames } = this.#parts
    const { host, repository, tag } = image
    if (tag === undefined) return undefined
    const isOwn = hostnames().some((own) => isSameHost(own, host))
    if (isOwn && !isProxiedName(repository)) {
      return (await manifests.findManifest(context, repository, tag))?.digest
    }
    const target = isOwn ? parseProxiedName(repository) : { host, repository }
    return (await pullThrough.getManifest(context, target, tag)).manifest.digest
  }
}
