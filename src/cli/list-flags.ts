/** The flags of `trow ls`. */
import type { RegistryFlags } from './registry-options.ts'

export interface ListFlags extends RegistryFlags {
  readonly json?: boolean
  readonly digests?: boolean
  readonly quiet?: boolean
}
