// When a check of a tag goes on without the client that began it, over an upstream that is a function.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { parseTag } from '../../../src/oci/tag.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import type { StoredManifest } from '../../../src/registry/manifest-cache.ts'
import type { UpstreamCall } from '../../../src/registry/ports/upstream.ts'
import { TagChecks } from '../../../src/registry/tag-checks.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { requestContext } from '../../support/request-context.ts'
import { until } from '../../support/until.ts'

const host = parseRegistryHost('upstream.example')
const tag = parseTag('latest')
const target = { host, repository: parseRepositoryName('app') }
const [cached, moved] = [manifestOf('cached'), manifestOf('moved')]

function manifestOf(text: string): StoredManifest {
  const bytes = Buffer.from(text)
  return { bytes, digest: digestOf(bytes), mediaType: mediaTypes.ociManifest, size: bytes.length }
}

/** @param head is asked what the tag is now. */
function start(head: (call: UpstreamCall) => Promise<StoredManifest>) {
  const clock = new FakeClock(0)
  const kept: Digest[] = []
  const asked: UpstreamCall[] = []
  const checks = new TagChecks(
    {
      clock,
      upstream: {
        headManifest: async (_target, _tag, call) => {
          asked.push(call)
          return await head(call)
        },
        getManifest: async () => moved,
      },
      manifests: { findManifest: async () => undefined },
      keep: async (_context, _target, fetched) => {
        kept.push(fetched.digest)
        return fetched
      },
    },
    { secondsMax: 0.01, shareBehind: 0.5, lateMax: 1, rememberedMax: 10 },
  )
  return {
    checks,
    kept,
    asked,
    check: () => checks.check(requestContext(), { target, tag, cached }),
  }
}

function aborted({ signal }: UpstreamCall): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
}

test('an upstream that lets the time pass is asked once more, for nobody who waits', async () => {
  const answer = Promise.withResolvers<StoredManifest>()
  const { checks, kept, asked, check } = start((call) =>
    Promise.race([answer.promise, aborted(call)]),
  )
  for (const _ of ['first', 'while that is heard out']) {
    await assert.rejects(check(), { problem: 'timeout' })
  }
  assert.equal(asked.length, 3)
  assert.equal(checks.isFresh(target, tag, 60), false)
  answer.resolve(moved)
  await until('what it says is kept', () => kept.length > 0)
  assert.deepEqual(kept, [moved.digest])
  await until('it counts as checked', () => checks.isFresh(target, tag, 60))
})

test('one that was not asked in time, for others that came first, is not', async () => {
  const refusal = new UpstreamError('others came first', { host, problem: 'suspended' })
  const { asked, check } = start((call) => aborted(call).catch(() => Promise.reject(refusal)))
  await assert.rejects(check(), { problem: 'suspended' })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(asked.length, 1)
})

test('what has failed before the time was up is not asked again', async () => {
  const { asked, check } = start(() =>
    Promise.reject(new UpstreamError('refused', { host, problem: 'refused' })),
  )
  await assert.rejects(check(), { problem: 'refused' })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(asked.length, 1)
})
