// What retention, the age of what nothing holds, and `trow rm` make of a repository of the model: which
// images go with which others, and what holds them. Changes are made to a copy, which is taken or not.

import type { Digest } from '../../src/oci/digest.ts'
import { parseNamePattern } from '../../src/lib/name-pattern.ts'
import type { TagPolicy } from '../../src/config/tag-policy.ts'
import type { ModelRepository } from './model.ts'
import type { Random } from './random.ts'

/** Of the tags that it is for, those stay that are among the newest, or that were pushed or pulled lately. */
export interface ModelRule {
  readonly repositories: string
  readonly tags: string
  readonly keepNewest?: number
  readonly keepPushedWithinSeconds?: number
  readonly keepPulledWithinSeconds?: number
}

export interface ModelPolicy {
  readonly rules: readonly ModelRule[]
  /** For so long stays what nothing holds; for ever when absent. */
  readonly untaggedSeconds?: number
}

export const keepsAll: ModelPolicy = { rules: [] }

export function randomPolicy(random: Random): ModelPolicy {
  const rule = (): ModelRule => ({
    repositories: random.pick(['*', 'a*', 'c']),
    tags: random.pick(['*', '*', 'l*', 'v*']),
    ...random.pick([
      { keepNewest: 1 },
      { keepNewest: 2, keepPulledWithinSeconds: 20 },
      { keepPushedWithinSeconds: 40 },
      { keepPulledWithinSeconds: 100 },
    ]),
  })
  const rules = Array.from({ length: random.below(3) }, rule)
  return random.chance(2) ? { rules } : { rules, untaggedSeconds: random.pick([1, 100]) }
}

/** The same in the configuration's words. */
export function tagPolicyOf({ rules }: ModelPolicy): TagPolicy {
  const retention = rules.map(({ repositories, tags, ...keeps }) => ({
    repositories: [parseNamePattern(repositories)],
    tags: [parseNamePattern(tags)],
    keepAll: false,
    ...keeps,
  }))
  return { immutable: [], retention }
}

interface Deletion {
  readonly digest: Digest
  readonly tags: readonly string[]
  /** It goes though it is attached to something; without it, only if nothing holds it. */
  readonly whole?: boolean
  /** What was pushed or pulled since is not deleted, nor anything that it would go with. */
  readonly askedBefore?: number
}

interface Deleted {
  readonly tags: readonly string[]
  readonly manifests: readonly Digest[]
  /** The repository without them. */
  readonly rest: ModelRepository
}

/** @returns why not, if not. */
export function deleteImage(
  repository: ModelRepository,
  { digest, tags, whole = false, askedBefore = Infinity }: Deletion,
  now: number,
): Deleted | 'needed' | 'asked' {
  const rest = copyOf(repository)
  for (const tag of tags) rest.tags.delete(tag)
  const gone: Digest[] = []
  const candidates = [digest]
  for (const next of candidates) {
    const manifest = rest.manifests.get(next)
    if (manifest === undefined) continue
    const isAttached = manifest.subject !== undefined && rest.manifests.has(manifest.subject)
    if (isNamed(rest, next) || (isAttached && !(whole && next === digest))) continue
    const { createdAt = 0, pulledAt = 0 } = rest.dates.get(next) ?? {}
    if (Math.max(createdAt, pulledAt) >= askedBefore) return 'asked'
    rest.manifests.delete(next)
    gone.push(next)
    const all = [...rest.manifests.values()]
    const referrers = all.filter(({ subject }) => subject === next).map((other) => other.digest)
    candidates.push(...manifest.manifests, ...referrers)
  }
  if (whole && gone.length === 0) return 'needed'
  if (gone.length === 0) release(rest, [digest], now)
  return { tags: tags.toSorted(), manifests: gone.toSorted(), rest }
}

/** What a tag, an index or a subject let go of is not old at once. */
export function release({ dates }: ModelRepository, digests: readonly Digest[], now: number): void {
  for (const digest of digests) {
    const known = dates.get(digest)
    if (known !== undefined) dates.set(digest, { ...known, releasedAt: now })
  }
}

/** @returns the repository without the images that no rule keeps. */
export function withoutExpired(
  name: string,
  repository: ModelRepository,
  { rules }: ModelPolicy,
  { now, askedBefore }: { readonly now: number; readonly askedBefore: number },
): ModelRepository {
  const ruleOf = (tag: string): ModelRule | undefined =>
    rules.find((rule) => fits(rule.repositories, name) && fits(rule.tags, tag))
  let rest = repository
  const own = [...repository.taggedAt]
    .filter(([tag]) => repository.tags.has(tag))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  // Of several tags of an image that has to stay the last one stays: by rule, in the order of the tags.
  const byRule = Map.groupBy(own, ([tag]) => ruleOf(tag))
  for (const [rule, judged] of byRule) {
    if (rule === undefined) continue
    const newestFirst = judged.toSorted(([a, at], [b, bt]) => bt - at || (a < b ? -1 : 1))
    for (const [tag, pushedAt] of newestFirst.slice(rule.keepNewest ?? 0)) {
      const digest = repository.tags.get(tag) as Digest
      const { pulledAt = -Infinity } = repository.dates.get(digest) ?? {}
      const { keepPushedWithinSeconds = 0, keepPulledWithinSeconds = 0 } = rule
      const isKept =
        now - pushedAt < keepPushedWithinSeconds * 1000 ||
        now - pulledAt < keepPulledWithinSeconds * 1000
      if (isKept) continue
      const deleted = deleteImage(rest, { digest, tags: [tag], askedBefore }, now)
      if (typeof deleted === 'object') rest = deleted.rest
    }
  }
  return rest
}

/** @returns the repository without what nothing held for so long, nor anybody pushed or pulled. */
export function withoutUntagged(
  repository: ModelRepository,
  before: number,
  now: number,
): ModelRepository {
  let rest = repository
  for (const digest of [...repository.manifests.keys()].toSorted()) {
    const { createdAt = 0, pulledAt = 0, releasedAt = 0 } = rest.dates.get(digest) ?? {}
    const manifest = rest.manifests.get(digest)
    const isOld = Math.max(createdAt, pulledAt, releasedAt) < before
    if (manifest === undefined || !isOld || isNamed(rest, digest)) continue
    if (manifest.subject !== undefined && rest.manifests.has(manifest.subject)) continue
    const deleted = deleteImage(rest, { digest, tags: [], askedBefore: before }, now)
    if (typeof deleted === 'object') rest = deleted.rest
  }
  return rest
}

function isNamed({ tags, manifests }: ModelRepository, digest: Digest): boolean {
  const indexes = [...manifests.values()].filter((other) => other.manifests.includes(digest))
  return indexes.length > 0 || [...tags.values()].includes(digest)
}

/** A star at the end stands for anything. */
function fits(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function copyOf(repository: ModelRepository): ModelRepository {
  const { blobs, askedAt, manifests, tags, taggedAt, dates } = repository
  return {
    blobs: new Set(blobs),
    askedAt: new Map(askedAt),
    manifests: new Map(manifests),
    tags: new Map(tags),
    taggedAt: new Map(taggedAt),
    dates: new Map(dates),
  }
}
