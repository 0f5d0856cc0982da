/** What the mutating webhook changes, as the configuration says it. */
import type { RegistryHost } from '../oci/image-reference.ts'

export interface MutationSettings {
  /** `HOST[:PORT]` by which nodes reach this registry. */
  readonly registry: string
  /** Registries whose images are pulled through this one. */
  readonly upstreams: readonly RegistryHost[]
  /** `host/repository`, in their normal form, whose images stay as they are. */
  readonly ignored: readonly string[]
  readonly pinDigests: boolean
}
