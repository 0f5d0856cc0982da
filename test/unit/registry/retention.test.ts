// Which tags the rules keep, as tables; and that collecting deletes the others with their images, and
// what nothing holds, but nothing that somebody asked for.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RetentionRule, TagPolicy } from '../../../src/config/tag-policy.ts'
import { parseNamePattern } from '../../../src/lib/name-pattern.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { parseTag, type Tag } from '../../../src/oci/tag.ts'
import { CacheUses } from '../../../src/registry/cache-uses.ts'
import { Collector, type CollectorSettings } from '../../../src/registry/collector.ts'
import type { TagUse } from '../../../src/registry/ports/collection-metadata.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import { ContentRemoval } from '../../../src/registry/remove-content.ts'
import { expiredTags } from '../../../src/registry/retention.ts'
import {
  graceSeconds,
  type StartedRegistry,
  startTemporaryRegistry,
} from '../../simulation/registry-under-test.ts'
import { inPieces } from '../../support/bytes.ts'
import { noTagPolicy } from '../../support/no-policy.ts'
import { requestContext, silentLog } from '../../support/request-context.ts'
import { withMethod } from '../../support/with-method.ts'

const day = 86_400_000
const now = 1_000 * day
const app = parseRepositoryName('team/app')
const context = requestContext()

function rule(fields: Partial<RetentionRule> = {}): RetentionRule {
  return {
    repositories: [parseNamePattern('*')],
    tags: [parseNamePattern('*')],
    keepAll: false,
    ...fields,
  }
}

function policy(rules: readonly RetentionRule[], immutable = ''): TagPolicy {
  const tag = parseNamePattern(immutable)
  const fixed = immutable === '' ? [] : [{ repository: parseNamePattern('*'), tag }]
  return { retention: rules, immutable: fixed }
}

/** `name pushedDaysAgo[/pulledDaysAgo]`, several. */
function uses(text: string): TagUse[] {
  return text.split(', ').map((entry) => {
    const [name = '', pushed = '', pulled] = entry.split(/[ /]/)
    return {
      tag: parseTag(name),
      digest: digestOf(Buffer.from(name)),
      pushedAt: now - Number(pushed) * day,
      ...(pulled !== undefined && { pulledAt: now - Number(pulled) * day }),
    }
  })
}

const hex = digestOf(Buffer.from('x')).slice(7)

const cases: [title: string, tags: string, policy: TagPolicy, expired: string][] = [
  ['without rules all stay', 'a 900', noTagPolicy, ''],
  ['the newest stay', 'a 3, b 1, c 2, d 9', policy([rule({ keepNewest: 2 })]), 'a d'],
  ['by name where they are as old', 'b 1, c 1, a 1', policy([rule({ keepNewest: 2 })]), 'c'],
  [
    'what was pushed not long ago stays',
    'a 3, b 6, c 8',
    policy([rule({ keepPushedWithinSeconds: 7 * 86_400 })]),
    'c',
  ],
  [
    'what was pulled not long ago stays, however old it is',
    'a 99/1, b 99/40, c 99',
    policy([rule({ keepPulledWithinSeconds: 30 * 86_400 })]),
    'b c',
  ],
  [
    'one reason to stay is enough',
    'a 1, b 5, c 99/1, d 99',
    policy([
      rule({
        keepNewest: 1,
        keepPushedWithinSeconds: 7 * 86_400,
        keepPulledWithinSeconds: 2 * 86_400,
      }),
    ]),
    'd',
  ],
  [
    'the first rule that fits decides, and each counts its own tags',
    'v1 9, v2 8, pr-1 7, pr-2 6, latest 5',
    policy([
      rule({ tags: [parseNamePattern('v*')], keepAll: true }),
      rule({ tags: [parseNamePattern('pr-*')], keepNewest: 1 }),
    ]),
    'pr-1',
  ],
  [
    'a rule for other repositories is none',
    'a 99',
    policy([rule({ repositories: [parseNamePattern('ci/*')], keepNewest: 1 })]),
    '',
  ],
  [
    'an immutable tag stays and is not counted',
    'v1 9, a 1, b 2',
    policy([rule({ keepNewest: 1 })], 'v*'),
    'b',
  ],
  [
    'what is attached to a manifest is neither counted nor judged',
    `sha256-${hex} 1, sha256-${hex}.sig 2, a 3, b 4`,
    policy([rule({ keepNewest: 1 })]),
    'b',
  ],
  [
    'a clock that was set back expires nothing',
    'a -5',
    policy([rule({ keepPushedWithinSeconds: 60 })]),
    '',
  ],
]

describe('retention', () => {
  for (const [title, tags, rules, expected] of cases) {
    test(title, () => {
      const expired = expiredTags(rules, app, uses(tags), now)
      assert.equal(
        expired
          .map(({ tag }) => tag)
          .toSorted()
          .join(' '),
        expected,
      )
    })
  }

  test('says why', () => {
    const [expired] = expiredTags(policy([rule({ keepNewest: 1 })]), app, uses('a 1, b 3/2'), now)
    assert.equal(
      expired?.reason,
      'retention[0]: not among the newest 1, pushed 3 d ago, pulled 2 d ago',
    )
    const [never] = expiredTags(
      policy([rule({ keepPushedWithinSeconds: 60 })]),
      app,
      uses('a 1'),
      now,
    )
    assert.equal(never?.reason, 'retention[0]: pushed 24 h ago, never pulled')
  })
})

const config = Buffer.from('{}')

async function pushImage({ registry }: StartedRegistry, tags: readonly string[], label: string) {
  const chunk = { bytes: inPieces(config, 10) }
  await registry.uploads.pushBlob(context, app, digestOf(config), chunk)
  const described = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: 2 }
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: described,
    layers: [],
    annotations: { label },
  }
  return await push({ registry } as StartedRegistry, Buffer.from(JSON.stringify(document)), tags)
}

async function push({ registry }: StartedRegistry, bytes: Buffer, tags: readonly string[] = []) {
  const reference = parseReference(digestOf(bytes))
  const put = { reference, bytes, contentType: undefined, tags: tags.map((tag) => parseTag(tag)) }
  return (await registry.manifests.putManifest(context, app, put)).digest
}

function collect(started: StartedRegistry, settings: Partial<CollectorSettings>, dryRun = false) {
  const { registry, clock } = started
  const { metadata, blobStore: blobs, locks, uploads, promises, manifests, uses } = registry
  const removal = new ContentRemoval({ metadata, blobs, locks }, { atOnceMax: 2 })
  const collector = new Collector(
    {
      metadata,
      removal,
      uploads,
      promises,
      uses,
      manifests,
      damage: new KnownDamage(),
      clock,
      monotonicClock: clock,
      log: silentLog,
    },
    { rowsPerStep: 2, perWriteMax: 2, tagsMax: 10, pauseShare: 0 },
    { graceSeconds, uploadIdleSeconds: 3_600, tagPolicy: noTagPolicy, ...settings },
  )
  const items: object[] = []
  const tell = async (item: object): Promise<void> => void items.push(item)
  const signal = new AbortController().signal
  const monitor = { signal, progress: () => undefined, tell }
  return collector.collect({ dryRun }, monitor).then((report) => ({ report, items }))
}

async function tagsOf({ registry }: StartedRegistry): Promise<Tag[]> {
  return (await registry.listings.listTags(app, { limit: 100 })).entries
}

const newestTwo = { tagPolicy: policy([rule({ keepNewest: 2 })]) }

describe('collecting', () => {
  test('deletes expired tags with their images, says why, and only says so in a dry run', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    for (const tag of ['1', '2', '3', '4']) {
      await pushImage(started, [tag], tag)
      clock.advance(1_000)
    }
    clock.advance(10 * day)
    for (const dryRun of [true, false]) {
      const { report, items } = await collect(started, newestTwo, dryRun)
      assert.deepEqual([report.tags, report.manifests, report.blobs], [2, 2, dryRun ? 0 : 2])
      const [first] = items as { tags: string[]; reason: string }[]
      assert.match(first?.reason ?? '', /^retention\[0\]: not among the newest 2, pushed 10 d ago/)
      assert.deepEqual(await tagsOf(started), dryRun ? ['1', '2', '3', '4'] : ['3', '4'])
    }
    const uses = await registry.metadata.listTagUses(app, { limit: 10 })
    assert.equal(uses.length, 2)
  })

  test('leaves a manifest that another tag holds', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    const digest = await pushImage(started, ['old', 'kept'], 'same')
    clock.advance(day)
    await pushImage(started, ['new'], 'new')
    await pushImage(started, ['kept'], 'same')
    clock.advance(day)
    const { report } = await collect(started, newestTwo)
    assert.deepEqual([report.tags, report.manifests], [1, 0])
    assert.equal(
      (await registry.manifests.getManifest(context, app, parseTag('kept'))).digest,
      digest,
    )
  })

  test('leaves an image that was pulled, pushed or asked for within the grace', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    const pulled = await pushImage(started, ['1'], '1')
    for (const tag of ['2', '3']) {
      clock.advance(day)
      await pushImage(started, [tag], tag)
    }
    clock.advance(day)
    await registry.manifests.getManifest(context, app, pulled)
    assert.equal((await collect(started, newestTwo)).report.tags, 0)
    clock.advance(10 * day)
    assert.equal((await collect(started, newestTwo)).report.tags, 1)
  })

  test('forgets deleted tags in memory, too', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    for (const tag of ['1', '2', '3']) {
      await pushImage(started, [tag], tag)
      clock.advance(1_000)
    }
    await registry.manifests.getManifest(context, app, parseTag('1'))
    clock.advance(10 * day)
    await collect(started, newestTwo)
    const gone = registry.manifests.getManifest(context, app, parseTag('1'))
    await assert.rejects(gone, { code: 'MANIFEST_UNKNOWN' })
  })

  test('leaves a repository alone that has too many tags', async () => {
    await using started = await startTemporaryRegistry()
    const tags = Array.from({ length: 11 }, (_, index) => `t${index}`)
    await pushImage(started, tags, 'many')
    started.clock.advance(10 * day)
    assert.equal((await collect(started, newestTwo)).report.tags, 0)
  })
})

describe('manifests without a tag', () => {
  const untagged = { untaggedSeconds: 7 * 86_400 }

  test('are kept unless it is configured otherwise, and then go after a while', async () => {
    await using started = await startTemporaryRegistry()
    await pushImage(started, [], 'nobody')
    started.clock.advance(100 * day)
    assert.equal((await collect(started, {})).report.manifests, 0)
    assert.equal((await collect(started, untagged)).report.manifests, 1)
  })

  test('stay so long after the tag moved, was deleted, or the last pull', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    const moved = await pushImage(started, ['a'], 'moved')
    const deleted = await pushImage(started, ['b'], 'deleted')
    const pulled = await pushImage(started, [], 'pulled')
    clock.advance(100 * day)
    await pushImage(started, ['a'], 'new')
    await registry.manifests.deleteManifest(context, app, parseTag('b'))
    await registry.manifests.getManifest(context, app, pulled)
    clock.advance(6 * day)
    assert.equal((await collect(started, untagged)).report.manifests, 0)
    clock.advance(2 * day)
    assert.equal((await collect(started, untagged)).report.manifests, 3)
    for (const digest of [moved, deleted, pulled]) {
      assert.equal(await registry.metadata.findManifest(app, digest), undefined)
    }
  })

  test('stay while an index lists them or their subject is there, and go with those', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    const child = await pushImage(started, [], 'child')
    const descriptor = { mediaType: mediaTypes.ociManifest, digest: child, size: 1 }
    const document = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor] }
    const index = await push(started, Buffer.from(JSON.stringify(document)), ['kept'])
    const subject = { mediaType: mediaTypes.ociIndex, digest: index, size: 1 }
    const attached = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], subject }
    await push(started, Buffer.from(JSON.stringify(attached)))
    clock.advance(100 * day)
    assert.equal((await collect(started, untagged)).report.manifests, 0)
    await registry.manifests.deleteManifest(context, app, parseTag('kept'))
    clock.advance(8 * day)
    assert.equal((await collect(started, untagged)).report.manifests, 3)
    assert.equal(await registry.metadata.findManifest(app, child), undefined)
  })

  test('stay when somebody asks for one between the search and the deletion', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    const digest = await pushImage(started, [], 'asked')
    clock.advance(100 * day)
    const { metadata } = registry
    const inBetween = withMethod(metadata, 'deleteImage', async (deletion) => {
      await registry.manifests.getManifest(context, app, digest)
      return metadata.deleteImage(deletion)
    })
    const withAsk = { ...started, registry: { ...registry, metadata: inBetween } }
    assert.equal((await collect(withAsk, untagged)).report.manifests, 0)
    assert.ok(await metadata.findManifest(app, digest))
  })

  test('of what is cached stay', async () => {
    await using started = await startTemporaryRegistry()
    const { clock, registry } = started
    const cached = parseRepositoryName('x')
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }),
    )
    const fetched = {
      bytes,
      digest: digestOf(bytes),
      size: bytes.length,
      mediaType: mediaTypes.ociIndex,
    }
    const name = `f/host/${cached}` as typeof cached
    await registry.manifests.cacheManifest(context, name, fetched, [])
    clock.advance(100 * day)
    assert.equal((await collect(started, untagged)).report.manifests, 0)
  })
})

test('a use that is being noted is known until it is', async () => {
  const gate = Promise.withResolvers<void>()
  const metadata = { touchManifests: () => gate.promise }
  const clock = { now: () => now }
  const uses = new CacheUses(
    { metadata, clock, log: silentLog },
    { flushSeconds: 3_600, gatheredMax: 10, perWriteMax: 10 },
  )
  const digest = digestOf(config)
  uses.touch(app, digest)
  assert.ok(uses.has(app, digest))
  const flushed = uses.flush()
  await Promise.resolve()
  assert.ok(uses.has(app, digest))
  gate.resolve()
  await flushed
  assert.ok(!uses.has(app, digest))
  await uses[Symbol.asyncDispose]()
})
