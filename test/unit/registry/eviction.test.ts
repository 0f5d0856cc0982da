// The policy of eviction, over a cache that is a list: when it begins and where it ends, what it
// leaves alone, and what it makes of failures.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import type { RepositoryName } from '../../../src/oci/repository-name.ts'
import { Eviction } from '../../../src/registry/eviction.ts'
import { KnownDamage } from '../../../src/registry/known-damage.ts'
import type {
  Evictable,
  EvictablePage,
  EvictionRequest,
  EvictionResult,
} from '../../../src/registry/ports/cache-metadata.ts'
import type { BlobRecord } from '../../../src/registry/ports/records.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { silentLog } from '../../support/request-context.ts'

const app = 'f/host/app' as RepositoryName

function digest(name: string): Digest {
  return digestOf(Buffer.from(name))
}

/** A cache whose entries are in the order of their use, the one used longest ago first. */
class FakeCache {
  readonly entries: { name: string; size: number; kind: Evictable['kind'] }[] = []
  measurements = 0
  lists = 0
  failure: Error | undefined
  readonly removed: string[] = []

  put(name: string, size: number, kind: Evictable['kind'] = 'manifest'): void {
    this.entries.push({ name, size, kind })
  }

  get names(): string {
    return this.entries.map((entry) => entry.name).join('')
  }

  get size(): number {
    return this.entries.reduce((total, entry) => total + entry.size, 0)
  }

  measureCache = async (): Promise<number> => {
    this.measurements += 1
    return this.size
  }

  listEvictable = async ({ limit, after }: EvictablePage): Promise<Evictable[]> => {
    this.lists += 1
    const listed = this.entries.map(({ name, kind }) => ({
      kind,
      repository: app,
      digest: digest(name),
      usedAt: name.charCodeAt(0),
    }))
    return listed.filter((entry) => entry.usedAt > (after?.usedAt ?? 0)).slice(0, limit)
  }

  evict = async (
    entries: readonly Evictable[],
    { bytes, inUse }: EvictionRequest,
  ): Promise<EvictionResult> => {
    const evicted: Evictable[] = []
    const nobodys: BlobRecord[] = []
    let [taken, freed] = [0, 0]
    for (const entry of entries) {
      if (freed >= bytes) break
      taken += 1
      const index = this.entries.findIndex(({ name }) => digest(name) === entry.digest)
      const [known] = this.entries.slice(index, index + 1)
      if (known === undefined || inUse.has(entry.digest)) continue
      this.entries.splice(index, 1)
      this.removed.push(known.name)
      evicted.push(entry)
      nobodys.push({ digest: entry.digest, size: known.size })
      freed += known.size
    }
    return { taken, evicted, nobodys }
  }

  readonly waitingBytes = 0

  removeContent = async (contents: readonly BlobRecord[]): Promise<number> => {
    if (this.failure !== undefined) throw this.failure
    return contents.reduce((total, { size }) => total + size, 0)
  }
}

function start(perStepMax = 100) {
  const cache = new FakeCache()
  const clock = new FakeClock(0)
  const lines: { level: string; message: string; fields: object }[] = []
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields })
  const log = { ...silentLog, info: write('info'), warn: write('warn'), error: write('error') }
  const forgotten: RepositoryName[] = []
  const damage = new KnownDamage()
  const eviction = new Eviction(
    {
      metadata: cache,
      removal: cache,
      uses: { flush: async () => undefined },
      manifests: { forget: (repository) => void forgotten.push(repository) },
      damage,
      clock,
      log,
    },
    {
      highWatermark: 0.9,
      lowWatermark: 0.5,
      perStepMax,
      retrySeconds: 10,
      measurementHoldsSeconds: 600,
    },
  )
  /** As a fill does, without anything being in use afterwards. */
  const fetch = async (name: string, size: number): Promise<void> => {
    using reservation = eviction.reserve({ digest: digest(name), size })
    assert.ok(reservation)
    await reservation.keep(async () => cache.put(name, size))
  }
  return { cache, clock, lines, forgotten, damage, eviction, fetch }
}

/** Entries of ten bytes, named by their letters. */
function fill(cache: FakeCache, names: string): void {
  for (const name of names) cache.put(name, 10)
}

describe('what is cached', () => {
  test('stays up to the high watermark; above it, what was used longest ago goes', async () => {
    const { cache, eviction, fetch, forgotten } = start()
    fill(cache, 'abcdefgh')
    eviction.setMaxBytes(100)
    await eviction.settled()
    assert.equal(cache.names, 'abcdefgh')
    await fetch('i', 10)
    await eviction.settled()
    assert.equal(cache.names, 'abcdefghi')
    await fetch('j', 10)
    await eviction.settled()
    assert.equal(cache.names, 'fghij')
    assert.deepEqual(eviction.totals, { manifests: 5, bytes: 50 })
    assert.deepEqual([...new Set(forgotten)], [app])
  })

  test('is as large as it likes without a bound, and is not even measured', async () => {
    const { cache, eviction, fetch } = start()
    for (const name of 'abcdef') await fetch(name, 1_000)
    await eviction.settled()
    assert.equal(cache.names, 'abcdef')
    assert.equal(cache.measurements, 0)
    assert.ok(eviction.reserve({ digest: digest('x'), size: Number.MAX_SAFE_INTEGER }))
  })

  test('is cut to the bound that is set while the registry runs, not before', async () => {
    const { cache, eviction } = start()
    fill(cache, 'abcdefghij')
    eviction.setMaxBytes(1_000)
    await eviction.settled()
    assert.equal(cache.names, 'abcdefghij')
    eviction.setMaxBytes(60)
    await eviction.settled()
    assert.equal(cache.names, 'hij')
    eviction.setMaxBytes(undefined)
    fill(cache, 'klmnopqrst')
    eviction.add(100)
    await eviction.settled()
    assert.equal(cache.size, 130)
  })

  test('is measured before anything of it goes: shared layers are counted once', async () => {
    const { cache, eviction } = start()
    fill(cache, 'abcd')
    eviction.setMaxBytes(100)
    // The same layer in ten repositories.
    for (let count = 0; count < 30; count += 1) {
      await eviction.settled()
      eviction.add(10)
    }
    await eviction.settled()
    assert.equal(cache.names, 'abcd')
    assert.ok(cache.measurements < 10)
  })

  test('is measured again after a while, as deleting what was pushed can make it larger', async () => {
    const { cache, clock, eviction } = start()
    eviction.setMaxBytes(100)
    await eviction.settled()
    fill(cache, 'abcdefghij')
    eviction.add(0)
    await eviction.settled()
    assert.equal(cache.size, 100)
    clock.advance(600_000)
    eviction.add(0)
    await eviction.settled()
    assert.equal(cache.size, 50)
  })

  test('makes room for what is being fetched, before that is here', async () => {
    const { cache, eviction } = start()
    fill(cache, 'abcdefgh')
    eviction.setMaxBytes(100)
    const first = eviction.reserve({ digest: digest('x'), size: 20 })
    await eviction.settled()
    assert.equal(cache.names, 'fgh')
    // What is not kept in the end gives its room back.
    first?.[Symbol.dispose]()
    assert.ok(eviction.reserve({ digest: digest('y'), size: 50 }))
    await eviction.settled()
    assert.equal(cache.names, 'fgh')
  })

  test('is counted once when it is measured while it is being recorded', async () => {
    const { cache, eviction } = start()
    fill(cache, 'abcdef')
    eviction.setMaxBytes(100)
    await eviction.settled()
    using reservation = eviction.reserve({ digest: digest('x'), size: 25 })
    assert.ok(reservation)
    const recorded = Promise.withResolvers<void>()
    const kept = reservation.keep(() => {
      cache.put('x', 25)
      return recorded.promise
    })
    // 95 in all, of which 45 are to go.
    fill(cache, 'g')
    eviction.add(10)
    await new Promise(setImmediate)
    recorded.resolve()
    await kept
    await eviction.settled()
    assert.equal(cache.names, 'fxg')
  })

  test('is evicted in many steps, in order', async () => {
    const { cache, eviction } = start(3)
    fill(cache, 'abcdefghijklmnopqrst')
    eviction.setMaxBytes(100)
    await eviction.settled()
    assert.equal(cache.removed.join(''), 'abcdefghijklmno')
  })

  test('counts manifests and blobs apart', async () => {
    const { cache, eviction, lines } = start()
    cache.put('a', 60, 'blob')
    cache.put('b', 60)
    eviction.setMaxBytes(100)
    await eviction.settled()
    assert.deepEqual(eviction.totals, { manifests: 1, bytes: 120 })
    assert.deepEqual(lines, [
      {
        level: 'info',
        message: 'cached content was evicted that was not used for longest',
        fields: { manifests: 1, blobs: 1, evictedBytes: 120, cacheBytes: 0, maxBytes: 100 },
      },
    ])
  })
})

describe('what is in use', () => {
  test('stays, and younger content goes in its place', async () => {
    const { cache, eviction, fetch } = start(2)
    fill(cache, 'abcdefghi')
    eviction.setMaxBytes(100)
    const uses = 'abc'.split('').map((name) => eviction.use(digest(name)))
    await fetch('j', 10)
    await eviction.settled()
    assert.equal(cache.names, 'abcij')
    for (const use of uses) use[Symbol.dispose]()
  })

  test('goes when it is released, if there is too much of it', async () => {
    const { cache, eviction, lines } = start()
    eviction.setMaxBytes(100)
    await eviction.settled()
    const names = 'abcdefghijklmnop'.split('')
    const reservations = names.map((name) => eviction.reserve({ digest: digest(name), size: 10 }))
    await eviction.settled()
    assert.equal(lines.filter(({ level }) => level === 'warn').length, 1)
    for (const [index, reservation] of reservations.entries()) {
      await reservation?.keep(async () => cache.put(names[index] ?? '', 10))
      reservation?.[Symbol.dispose]()
    }
    await eviction.settled()
    assert.ok(cache.size <= 90)
    // The next write brings it to where the last pass could not.
    eviction.add(1)
    await eviction.settled()
    assert.ok(cache.size <= 50, cache.names)
    assert.equal(lines.filter(({ level }) => level === 'warn').length, 1)
  })

  test('stays until the last of its readers is gone', async () => {
    const { cache, eviction } = start()
    eviction.setMaxBytes(10)
    await eviction.settled()
    fill(cache, 'ab')
    const [first, second] = [eviction.use(digest('b')), eviction.use(digest('b'))]
    eviction.add(20)
    await eviction.settled()
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    await eviction.settled()
    assert.equal(cache.names, 'b')
    second[Symbol.dispose]()
    await eviction.settled()
    assert.equal(cache.names, '')
  })

  test('is waited for without asking over and over', async () => {
    const { cache, eviction } = start()
    eviction.setMaxBytes(10)
    await eviction.settled()
    fill(cache, 'ab')
    const uses = 'ab'.split('').map((name) => eviction.use(digest(name)))
    eviction.add(20)
    await eviction.settled()
    const { lists, measurements } = cache
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(cache.lists, lists)
    assert.ok(measurements <= 3)
    for (const use of uses) use[Symbol.dispose]()
  })
})

test('a blob larger than the whole cache may be is not to be stored', () => {
  const { eviction } = start()
  eviction.setMaxBytes(100)
  assert.equal(eviction.reserve({ digest: digest('x'), size: 101 }), undefined)
  assert.ok(eviction.reserve({ digest: digest('x'), size: 100 }))
})

test('by a damaged database nothing is evicted, and nothing stored beyond the bound', async () => {
  const { cache, damage, eviction, fetch, lines } = start()
  eviction.setMaxBytes(100)
  for (const name of 'abcdefgh') await fetch(name, 10)
  await eviction.settled()
  damage.database = 'a page is torn'
  for (const name of 'ij') await fetch(name, 10)
  await eviction.settled()
  assert.equal(await eviction.makeRoom(50), 0)
  assert.equal(cache.names, 'abcdefghij')
  assert.equal(eviction.reserve({ digest: digest('k'), size: 1 }), undefined)
  assert.deepEqual(lines, [], 'the scrub has told of it')

  damage.database = undefined
  eviction.add(0)
  await eviction.settled()
  assert.equal(cache.names, 'fghij')
})

test('by a damaged database the cache is measured all the same when its bound is set', async () => {
  const { cache, damage, eviction } = start()
  damage.database = 'a page is torn'
  fill(cache, 'abcdefgh')
  eviction.setMaxBytes(100)
  await eviction.settled()
  assert.equal(eviction.reserve({ digest: digest('i'), size: 21 }), undefined)
  assert.ok(eviction.reserve({ digest: digest('i'), size: 20 }))
  await eviction.settled()
  assert.equal(cache.names, 'abcdefgh')
})

test('an eviction under way ends when the database is found damaged', async () => {
  const { cache, damage, eviction } = start(1)
  const { evict } = cache
  Object.assign(cache, {
    evict: (...args: Parameters<typeof evict>) => {
      damage.database = 'a page is torn'
      return evict(...args)
    },
  })
  fill(cache, 'abcdefghij')
  eviction.setMaxBytes(100)
  await eviction.settled()
  assert.equal(cache.names, 'bcdefghij')
})

test('writes while content is being evicted cause one more pass, not many', async () => {
  const { cache, eviction } = start()
  fill(cache, 'abcdefghij')
  eviction.setMaxBytes(100)
  for (let count = 0; count < 100; count += 1) eviction.add(0)
  await eviction.settled()
  assert.equal(cache.names, 'fghij')
  assert.ok(cache.measurements <= 2)
})

test('a failure is told once, with what to do, and tried again by a write after a while', async () => {
  const { cache, clock, eviction, lines } = start()
  fill(cache, 'abcdefghij')
  cache.failure = new Error('disk')
  eviction.setMaxBytes(100)
  await eviction.settled()
  for (let count = 0; count < 10; count += 1) eviction.add(0)
  await eviction.settled()
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['error'],
  )
  assert.match(lines[0]?.message ?? '', /tried again/)
  cache.failure = undefined
  clock.advance(10_000)
  eviction.add(0)
  await eviction.settled()
  assert.ok(cache.size <= 50)
})

test('stopping does not wait until all is evicted', async () => {
  const { cache, eviction } = start(1)
  fill(cache, 'abcdefghijklmnopqrstuvwxyz')
  eviction.setMaxBytes(10)
  await eviction[Symbol.asyncDispose]()
  assert.ok(cache.entries.length > 20)
  eviction.add(1_000)
  await eviction.settled()
  assert.ok(cache.entries.length > 20)
})
