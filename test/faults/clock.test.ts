// A clock that jumps, as on machines whose time is set late or that were suspended: what holds for a
// while holds neither for ever nor not at all, and what was given out is replaced.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { Authenticator } from '../../src/auth/authenticator.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseRegistryHost } from '../../src/oci/image-reference.ts'
import { mediaTypes } from '../../src/oci/media-type.ts'
import { parseReference } from '../../src/oci/reference.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import { UpstreamError } from '../../src/oci/upstream-error.ts'
import { CacheUses } from '../../src/registry/cache-uses.ts'
import type { CacheRoom } from '../../src/registry/eviction.ts'
import { Fills } from '../../src/registry/fills.ts'
import { KnownDamage } from '../../src/registry/known-damage.ts'
import { Health } from '../../src/registry/health.ts'
import type { Upstream } from '../../src/registry/ports/upstream.ts'
import { Prefetch } from '../../src/registry/prefetch.ts'
import { PullThrough } from '../../src/registry/pull-through.ts'
import { StaleCopies } from '../../src/registry/stale-copies.ts'
import { type RegistryUnderTest, startRegistry } from '../simulation/registry-under-test.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { requestContext, silentLog } from '../support/request-context.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const hour = 3_600_000
const jumps = [-1_000 * hour, -hour, 2 * hour, 1_000 * hour]
const host = parseRegistryHost('registry.example')
const target = { host, repository: parseRepositoryName('app') }
const latest = parseReference('latest')
const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }))
const manifest = {
  digest: digestOf(bytes),
  bytes,
  size: bytes.length,
  mediaType: mediaTypes.ociIndex,
}

/** One manifest, there or not; counts how often it is asked. */
class OneManifest {
  isThere = true
  asked = 0

  getManifest(): Promise<typeof manifest> {
    this.asked += 1
    if (this.isThere) return Promise.resolve(manifest)
    return Promise.reject(new UpstreamError('not there', { host, problem: 'status', status: 404 }))
  }

  flightOf(): string {
    return ''
  }

  headManifest(): Promise<typeof manifest> {
    return this.getManifest()
  }
}

interface Scene extends AsyncDisposable {
  readonly clock: FakeClock
  readonly registry: RegistryUnderTest
  readonly upstream: OneManifest
  pull(): Promise<unknown>
}

async function start(): Promise<Scene> {
  const directory = await temporaryDirectory()
  const clock = new FakeClock()
  const registry = await startRegistry(directory.path, clock)
  const { metadata, manifests, checks, blobStore: blobs, uploadStore: uploads } = registry
  const { locks } = registry
  const damage = new KnownDamage()
  const stores = { metadata, uploads, blobs, checks, clock, locks, damage, log: silentLog }
  const room: CacheRoom = {
    reserve: () => ({
      keep: (record: () => Promise<void>) => record(),
      [Symbol.dispose]: () => undefined,
    }),
    use: () => ({ [Symbol.dispose]: () => undefined }),
    add: () => undefined,
  }
  const fills = new Fills(
    { ...stores, room },
    {
      heldBackBytes: 1,
      fruitlessTriesMax: 1,
      retryDelaySeconds: 0,
      retryAfterSecondsMax: 0,
      tooLargeRememberedMax: 1,
    },
  )
  const uses = new CacheUses(stores, { flushSeconds: 60, gatheredMax: 10, perWriteMax: 10 })
  const prefetch = new Prefetch(stores, { transfersMax: 1, waitingMax: 1 })
  const staleCopies = new StaleCopies({ rememberedMax: 10 })
  const upstream = new OneManifest()
  const asked = upstream as unknown as Upstream
  const pullThrough = new PullThrough(
    { ...stores, upstream: asked, manifests, fills, uses, room, prefetch, staleCopies },
    {
      prefetchesLayers: false,
      tagTtlSeconds: 60,
      unknownTtlSeconds: 60,
      tagChecks: { secondsMax: 5, shareBehind: 1, lateMax: 1 },
      rememberedMax: 10,
    },
  )
  return {
    clock,
    registry,
    upstream,
    pull: () => pullThrough.getManifest(requestContext(), target, latest),
    [Symbol.asyncDispose]: async () => {
      prefetch[Symbol.dispose]()
      await fills[Symbol.asyncDispose]()
      await uses[Symbol.asyncDispose]()
      await registry[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

for (const jump of jumps) {
  describe(`a clock that jumps by ${jump / hour} hours`, () => {
    test('does not make a tag count as checked', async () => {
      await using scene = await start()
      await scene.pull()
      await scene.pull()
      assert.equal(scene.upstream.asked, 1)
      scene.clock.advance(jump)
      await scene.pull()
      assert.equal(scene.upstream.asked, 2)
      await scene.pull()
      assert.equal(scene.upstream.asked, 2)
    })

    test('does not make what was not there stay away', async () => {
      await using scene = await start()
      scene.upstream.isThere = false
      for (let round = 0; round < 2; round += 1) {
        await assert.rejects(scene.pull(), { code: 'MANIFEST_UNKNOWN' })
      }
      assert.equal(scene.upstream.asked, 1)
      scene.upstream.isThere = true
      scene.clock.advance(jump)
      await scene.pull()
      assert.equal(scene.upstream.asked, 2)
    })

    test('does not keep a probe from looking', async () => {
      await using scene = await start()
      const { registry, clock } = scene
      const stores = { metadata: registry.metadata, blobs: registry.blobStore, clock }
      const health = new Health(stores, { holdsSeconds: 1 })
      assert.equal(await health.findProblem(), undefined)
      registry.faults.arm({ code: 'EIO', moment: 'before' })
      assert.equal(await health.findProblem(), undefined)
      clock.advance(jump)
      assert.match((await health.findProblem()) ?? '', /^storage: /)
    })

    test('costs those who are logged in a new token, and no more', async () => {
      const clock = new FakeClock()
      const user = { name: 'ann', password: 'correct horse' }
      const dependencies = { clock, monotonicClock: performance, signingKey: randomBytes(32) }
      const authenticator = new Authenticator(dependencies, { user, anonymousPull: false })
      const basic = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
      const logIn = async (): Promise<string> => {
        const principal = await authenticator.authenticate(basic, '192.0.2.1')
        return `Bearer ${(await authenticator.issueToken(principal, [])).token}`
      }
      const old = await logIn()
      assert.equal((await authenticator.authenticate(old, '192.0.2.1')).name, user.name)
      clock.advance(jump)
      // One that was looked at before goes on; one whose time is over does not.
      const stillCounts = await authenticator.authenticate(old, '192.0.2.1').then(
        () => true,
        () => false,
      )
      assert.ok(jump < 0 || !stillCounts)
      const fresh = await logIn()
      assert.equal((await authenticator.authenticate(fresh, '192.0.2.1')).name, user.name)
      clock.advance(-jump)
      const after = await logIn()
      assert.equal((await authenticator.authenticate(after, '192.0.2.1')).name, user.name)
    })
  })
}
