/** What `trow check` shows of how content is kept: the settings as they would be in the file. */
import type { Config } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import type { ImmutableTags, RetentionRule } from '../config/tag-policy.ts'
import { formatNamePattern } from '../lib/name-pattern.ts'

export function contentOf({ storage, collection, scrub, tagPolicy }: Config): object {
  const { untaggedSeconds } = collection
  const { intervalSeconds } = scrub
  return {
    storage: {
      ...(storage.maxBytes !== undefined && { max_size: bytes(storage.maxBytes) }),
      ...(storage.minFreeBytes !== undefined && { min_free: bytes(storage.minFreeBytes) }),
      verify_reads: storage.verifiesReads,
    },
    gc: {
      enabled: collection.isEnabled,
      interval: formatDuration(collection.intervalSeconds),
      grace: formatDuration(collection.graceSeconds),
      untagged: untaggedSeconds === undefined ? 'keep' : formatDuration(untaggedSeconds),
    },
    scrub: {
      interval: intervalSeconds === undefined ? 'never' : formatDuration(intervalSeconds),
      rate: bytes(scrub.rateBytes),
    },
    immutable_tags: tagPolicy.immutable.map(immutableOf),
    retention: tagPolicy.retention.map(retentionOf),
  }
}

function bytes(count: number): string {
  return `${count} bytes`
}

function immutableOf({ repository, tag }: ImmutableTags): string {
  return `${formatNamePattern(repository)}:${formatNamePattern(tag)}`
}

function retentionOf(rule: RetentionRule): object {
  const { keepNewest, keepPushedWithinSeconds: pushed, keepPulledWithinSeconds: pulled } = rule
  return {
    repositories: rule.repositories.map(formatNamePattern),
    tags: rule.tags.map(formatNamePattern),
    ...(keepNewest !== undefined && { keep_newest: keepNewest }),
    ...(pushed !== undefined && { keep_pushed_within: formatDuration(pushed) }),
    ...(pulled !== undefined && { keep_pulled_within: formatDuration(pulled) }),
    keep_all: rule.keepAll,
  }
}
