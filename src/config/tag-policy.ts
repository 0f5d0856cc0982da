/**
 * What the configuration says of tags: which never move, and which are kept how long. In patterns of
 * repositories and of tags `*` stands for any characters, slashes included.
 */
import { matchesName, type NamePattern } from '../lib/name-pattern.ts'

export interface RetentionRule {
  readonly repositories: readonly NamePattern[]
  readonly tags: readonly NamePattern[]
  readonly keepAll: boolean
  readonly keepNewest?: number
  readonly keepPushedWithinSeconds?: number
  readonly keepPulledWithinSeconds?: number
}

export interface ImmutableTags {
  readonly repository: NamePattern
  readonly tag: NamePattern
}

export interface TagPolicy {
  readonly immutable: readonly ImmutableTags[]
  readonly retention: readonly RetentionRule[]
}

export function isImmutable({ immutable }: TagPolicy, repository: string, tag: string): boolean {
  return immutable.some(
    (entry) => matchesName(entry.repository, repository) && matchesName(entry.tag, tag),
  )
}

/** Whether some rule may be for a tag of the repository. */
export function hasRetention({ retention }: TagPolicy, repository: string): boolean {
  return retention.some((rule) => isFor(rule, repository))
}

/** The first rule that fits decides. @returns its place in the list, -1 when none does. */
export function findRetention({ retention }: TagPolicy, repository: string, tag: string): number {
  return retention.findIndex(
    (rule) => isFor(rule, repository) && rule.tags.some((pattern) => matchesName(pattern, tag)),
  )
}

function isFor({ repositories }: RetentionRule, repository: string): boolean {
  return repositories.some((pattern) => matchesName(pattern, repository))
}
