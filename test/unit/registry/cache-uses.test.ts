// Uses of cached images: gathered, noted together, and lost neither by a database that fails nor by
// stopping.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import type { RepositoryName } from '../../../src/oci/repository-name.ts'
import { CacheUses } from '../../../src/registry/cache-uses.ts'
import type { ManifestUse } from '../../../src/registry/ports/cache-metadata.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { silentLog } from '../../support/request-context.ts'

const app = 'f/host/app' as RepositoryName
const digests = ['a', 'b', 'c', 'd', 'e'].map((text) => digestOf(Buffer.from(text)))
const [a, b, c] = digests as [ManifestUse['digest'], ManifestUse['digest'], ManifestUse['digest']]

function start(settings: { gatheredMax?: number; perWriteMax?: number } = {}) {
  const clock = new FakeClock(0)
  const writes: ManifestUse[][] = []
  const warnings: string[] = []
  const database = { fails: false }
  const touchManifests = async (uses: readonly ManifestUse[]): Promise<void> => {
    if (database.fails) throw new Error('locked')
    writes.push([...uses])
  }
  const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) }
  const uses = new CacheUses(
    { metadata: { touchManifests }, clock, log },
    { flushSeconds: 3_600, gatheredMax: 100, perWriteMax: 100, ...settings },
  )
  return { uses, clock, writes, warnings, database }
}

test('many pulls of an image are noted once, with the time of the last one', async () => {
  const { uses, clock, writes } = start()
  await using _ = uses
  uses.touch(app, a)
  uses.touch(app, b)
  clock.advance(5)
  uses.touch(app, a)
  await uses.flush()
  assert.deepEqual(writes, [
    [
      { repository: app, digest: b, usedAt: 0 },
      { repository: app, digest: a, usedAt: 5 },
    ],
  ])
  await uses.flush()
  assert.equal(writes.length, 1)
})

test('are noted so many at a time', async () => {
  const { uses, writes } = start({ perWriteMax: 2 })
  await using _ = uses
  for (const digest of digests) uses.touch(app, digest)
  await uses.flush()
  assert.deepEqual(
    writes.map((write) => write.length),
    [2, 2, 1],
  )
})

test('what could not be noted is noted later, and pulls do not see that', async () => {
  const { uses, clock, writes, warnings, database } = start()
  await using _ = uses
  database.fails = true
  uses.touch(app, a)
  uses.touch(app, b)
  await uses.flush()
  assert.equal(warnings.length, 1)
  clock.advance(7)
  uses.touch(app, a)
  database.fails = false
  await uses.flush()
  assert.deepEqual(writes, [
    [
      { repository: app, digest: b, usedAt: 0 },
      { repository: app, digest: a, usedAt: 7 },
    ],
  ])
})

test('beyond the bound the one used longest ago is not noted', async () => {
  const { uses, writes, database } = start({ gatheredMax: 2 })
  await using _ = uses
  database.fails = true
  for (const digest of [a, b, c]) uses.touch(app, digest)
  await uses.flush()
  database.fails = false
  await uses.flush()
  assert.deepEqual(
    writes.flat().map((use) => use.digest),
    [b, c],
  )
})

test('are noted when the registry stops', async () => {
  const { uses, writes } = start()
  uses.touch(app, a)
  await uses[Symbol.asyncDispose]()
  assert.equal(writes.length, 1)
})
