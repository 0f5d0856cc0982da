/**
 * Which tags the configured rules do not keep, and why. Of a repository at a time, as some rules count.
 * Invariant: a tag that no rule is for, or that is immutable, is kept.
 */
import {
  findRetention,
  isImmutable,
  type RetentionRule,
  type TagPolicy,
} from '../config/tag-policy.ts'
import type { Digest } from '../oci/digest.ts'
import { subjectOfTag } from '../oci/digest-tag.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { TagUse } from './ports/collection-metadata.ts'

export interface ExpiredTag extends TagUse {
  /** For people: which rule, and what of it the tag does not meet. */
  readonly reason: string
}

/** @param now milliseconds since 1970. */
export function expiredTags(
  policy: TagPolicy,
  repository: RepositoryName,
  uses: readonly TagUse[],
  now: number,
): ExpiredTag[] {
  const judged = uses.filter(
    ({ tag }) => subjectOfTag(tag) === undefined && !isImmutable(policy, repository, tag),
  )
  const byRule = Map.groupBy(judged, ({ tag }) => findRetention(policy, repository, tag))
  return [...byRule].flatMap(([index, own]) => {
    const rule = policy.retention[index]
    return rule === undefined ? [] : expiredBy(rule, index, own, now)
  })
}

/** Tags under which something is attached to a manifest, and which go with that, where some rule is for them. */
export function attachedTags(
  policy: TagPolicy,
  repository: RepositoryName,
  uses: readonly TagUse[],
): (TagUse & { readonly subject: Digest })[] {
  return uses.flatMap((use) => {
    const subject = subjectOfTag(use.tag)
    if (subject === undefined || isImmutable(policy, repository, use.tag)) return []
    const rule = policy.retention[findRetention(policy, repository, use.tag)]
    return rule === undefined || rule.keepAll ? [] : [{ ...use, subject }]
  })
}

function expiredBy(
  rule: RetentionRule,
  index: number,
  uses: readonly TagUse[],
  now: number,
): ExpiredTag[] {
  if (rule.keepAll) return []
  const newestFirst = uses.toSorted((a, b) => b.pushedAt - a.pushedAt || (a.tag < b.tag ? -1 : 1))
  const others = newestFirst.slice(rule.keepNewest ?? 0)
  return others
    .filter((use) => !isWithin(rule, use, now))
    .map((use) => ({ ...use, reason: reasonOf(rule, index, use, now) }))
}

function isWithin(rule: RetentionRule, { pushedAt, pulledAt }: TagUse, now: number): boolean {
  const { keepPushedWithinSeconds: pushed = 0, keepPulledWithinSeconds: pulled = 0 } = rule
  const wasPulled = pulledAt !== undefined && now - pulledAt < pulled * 1000
  return wasPulled || now - pushedAt < pushed * 1000
}

function reasonOf(
  { keepNewest }: RetentionRule,
  index: number,
  { pushedAt, pulledAt }: TagUse,
  now: number,
): string {
  const facts = [
    ...(keepNewest === undefined ? [] : [`not among the newest ${keepNewest}`]),
    `pushed ${daysSince(pushedAt, now)} ago`,
    pulledAt === undefined ? 'never pulled' : `pulled ${daysSince(pulledAt, now)} ago`,
  ]
  return `retention[${index}]: ${facts.join(', ')}`
}

function daysSince(then: number, now: number): string {
  const hours = Math.max(0, now - then) / 3_600_000
  return hours < 48 ? `${Math.floor(hours)} h` : `${Math.floor(hours / 24)} d`
}
