/**
 * What a container runtime's part of this is: which files make it ask Trow first, where such files may
 * be that are ours, and whether the runtime reads them. None of them restarts or reloads anything.
 */
import type { RegistryHost } from '../oci/image-reference.ts'
import type { Mirror } from './mirror.ts'
import type { NodeRoot } from './node-root.ts'

/** All registries that are not named themselves, in containerd's word. */
export const allRegistries = '_default'

export type NamedRegistry = RegistryHost | typeof allRegistries

export interface NodeSettings {
  /** In the order in which they are asked. */
  readonly mirrors: readonly [Mirror, ...Mirror[]]
  /** Whose images are pulled through Trow. */
  readonly registries: readonly NamedRegistry[]
  /** The authority of a Trow that is reached over HTTPS, as PEM. */
  readonly ca?: string
  /** Whether the registry itself is asked when Trow has no answer. */
  readonly isFallingBack: boolean
}

/** Places on the node that differ between distributions. */
export interface NodePlaces {
  readonly containerdConfig?: string
  readonly hostsDirectory?: string
}

export interface WantedFile {
  /** On the node. */
  readonly path: string
  /** Its text, given that of the file that was there before us. @throws StartError */
  readonly render: (before: string | undefined) => string
}

export interface Findings {
  /** Why pulls do not go through Trow, and what to do about it. */
  readonly problems: readonly string[]
  /** What else to know, or to do. */
  readonly notes: readonly string[]
}

export interface Runtime {
  listWanted(settings: NodeSettings, node: NodeRoot): Promise<readonly WantedFile[]>
  /** Paths at which an earlier installation may have put a file. */
  listPlaces(node: NodeRoot): Promise<readonly string[]>
  inspect(settings: NodeSettings, node: NodeRoot): Promise<Findings>
}
