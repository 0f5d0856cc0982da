// What a registry's parts are given where neither uses nor rules for tags matter.

import type { TagPolicy } from '../../src/config/tag-policy.ts'

export const noUses = {
  touch: (): void => undefined,
  untouch: (): void => undefined,
  has: (): boolean => false,
  flush: async (): Promise<void> => undefined,
}

export const noTagPolicy: TagPolicy = { immutable: [], retention: [] }
