// How often a blob is hashed when it is read; what becomes of one that is damaged is shown over a socket.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import { ReadChecks } from '../../../src/registry/read-checks.ts'
import { startTemporaryRegistry } from '../../simulation/registry-under-test.ts'
import { collect, patternBytes } from '../../support/bytes.ts'
import { silentLog } from '../../support/request-context.ts'
import { withMethod } from '../../support/with-method.ts'

test('a blob of which one client reads several ranges is hashed once', async () => {
  await using started = await startTemporaryRegistry()
  const { metadata, locks, blobStore } = started.registry
  const content = patternBytes(1_000)
  const blob = { digest: digestOf(content), size: content.length }
  await blobStore.putBlob(blob.digest, content)
  let opened = 0
  const blobs = withMethod(blobStore, 'openBlob', (digest) => {
    opened += 1
    return blobStore.openBlob(digest)
  })
  const damage = new KnownDamage()
  const parts = { metadata, blobs, locks, damage, clock: started.clock, log: silentLog }
  const settings = { rememberedMax: 10, rememberedSeconds: 60 }
  await using checks = new ReadChecks(parts, settings, true)
  await using stored = await blobStore.openBlob(blob.digest)
  assert.ok(stored)
  const reader = checks.watch(parseRepositoryName('a'), blob, stored)
  for (const start of [0, 300, 600]) {
    // Its last byte waits for the check, so there is none under way when the next one is read.
    assert.ok(
      (await collect(reader.read({ start, endInclusive: 999 }))).equals(content.subarray(start)),
    )
  }
  assert.equal(opened, 1)
})
