/** What the mutating webhook changes, by a configuration. */
import type { MutationSettings } from '../admission/mutation-settings.ts'
import { parseImageReference } from '../oci/image-reference.ts'
import type { Config } from './config.ts'

/** @returns undefined where nothing is configured. */
export function makeMutation({
  imageMutation,
  registryProxies,
}: Config): MutationSettings | undefined {
  if (imageMutation === undefined) return undefined
  const hosts = registryProxies.registries.map(({ host }) => host)
  return {
    registry: imageMutation.registry,
    upstreams: [...new Set(hosts)],
    ignored: imageMutation.ignoreRepos,
    pinDigests: imageMutation.pinDigests,
  }
}

/** `nginx` is `docker.io/library/nginx`. @throws OciError for what is no repository. */
export function normalRepository(text: string): string {
  const { registry, repository } = parseImageReference(text)
  return `${registry}/${repository}`
}
