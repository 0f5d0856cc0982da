/** What a policy is made from: the section `image_validation`, read and checked. */
import type { RuleLists } from './rule-set.ts'

export const defaultActions = ['Allow', 'Deny'] as const
/** What becomes of a review that finds images which may not run. */
export const policyModes = ['enforce', 'warn', 'audit'] as const
export const workloadChoices = ['warn', 'deny', 'off'] as const

export type DefaultAction = (typeof defaultActions)[number]
export type PolicyMode = (typeof policyModes)[number]
export type WorkloadChoice = (typeof workloadChoices)[number]

export interface PolicySettings extends RuleLists {
  readonly default: DefaultAction
  readonly mode: PolicyMode
  readonly requireDigest: boolean
  readonly validateWorkloads: WorkloadChoice
  readonly enforceAtPull: boolean
  /** The first one that has a namespace is for it. */
  readonly namespaces: readonly NamespaceSettings[]
  readonly exempt: Exemptions
}

/** What is absent is as it is for all. */
export interface NamespaceSettings extends RuleLists {
  /** Patterns. */
  readonly names: readonly string[]
  /** Whether the rules for all count as well. */
  readonly inherit: boolean
  readonly default?: DefaultAction
  readonly mode?: PolicyMode
  readonly requireDigest?: boolean
  readonly validateWorkloads?: WorkloadChoice
}

/** Patterns of whose reviews are not judged. */
export interface Exemptions {
  readonly namespaces: readonly string[]
  readonly users: readonly string[]
  readonly groups: readonly string[]
  /** `namespace:name` */
  readonly serviceAccounts: readonly string[]
}
