// The manifest cache: no order of reads and writes makes it answer what was overwritten or deleted,
// and it never holds more than its bounds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { digestOf } from '../../../src/oci/digest.ts'
import { parseReference, type Reference } from '../../../src/oci/reference.ts'
import { parseRepositoryName, type RepositoryName } from '../../../src/oci/repository-name.ts'
import { ManifestCache, type StoredManifest } from '../../../src/registry/manifest-cache.ts'

const repository = parseRepositoryName('library/nginx')
const otherRepository = parseRepositoryName('library/redis')
const latest = parseReference('latest')
const stable = parseReference('stable')

function manifest(text: string): StoredManifest {
  const bytes = Buffer.from(text)
  return { digest: digestOf(bytes), size: bytes.length, mediaType: 'application/json', bytes }
}

function cacheOf(settings: { entriesMax?: number; bytesMax?: number } = {}): ManifestCache {
  return new ManifestCache({ entriesMax: 100, bytesMax: 1_000_000, ...settings })
}

/** A read that ends when it is told to. */
function slowRead(): {
  read: () => Promise<StoredManifest | undefined>
  end: (m?: StoredManifest) => void
} {
  const { promise, resolve } = Promise.withResolvers<StoredManifest | undefined>()
  return { read: () => promise, end: resolve }
}

function never(): Promise<StoredManifest | undefined> {
  throw new Error('the cache was to answer this')
}

const one = manifest('one')
const two = manifest('two')

test('what was read once is not read again', async () => {
  const cache = cacheOf()
  assert.equal(cache.get(repository, latest), undefined)
  assert.equal(await cache.load(repository, latest, () => Promise.resolve(one)), one)
  assert.equal(cache.get(repository, latest), one)
  assert.equal(await cache.load(repository, latest, never), one)
})

test('absence is not kept: a push may follow', async () => {
  const cache = cacheOf()
  assert.equal(await cache.load(repository, latest, () => Promise.resolve(undefined)), undefined)
  assert.equal(await cache.load(repository, latest, () => Promise.resolve(one)), one)
})

test('a read that failed is not kept', async () => {
  const cache = cacheOf()
  const failure = new Error('disk')
  await assert.rejects(
    cache.load(repository, latest, () => Promise.reject(failure)),
    failure,
  )
  assert.equal(await cache.load(repository, latest, () => Promise.resolve(one)), one)
})

test('a write drops all references of its repository and none of another', async () => {
  const cache = cacheOf()
  for (const name of [repository, otherRepository]) {
    for (const reference of [latest, stable]) {
      await cache.load(name, reference, () => Promise.resolve(one))
    }
  }
  cache.invalidate(repository)
  assert.equal(cache.get(repository, latest), undefined)
  assert.equal(cache.get(repository, stable), undefined)
  assert.equal(cache.get(otherRepository, latest), one)
  assert.equal(cache.get(otherRepository, stable), one)
})

test('a read that was under way during a write answers its reader and is not kept', async () => {
  const cache = cacheOf()
  const slow = slowRead()
  const reading = cache.load(repository, latest, slow.read)
  cache.invalidate(repository)
  slow.end(one)
  assert.equal(await reading, one)
  assert.equal(cache.get(repository, latest), undefined)
  assert.equal(await cache.load(repository, latest, () => Promise.resolve(two)), two)
})

test('two readers at once leave one entry, which the next write drops', async () => {
  const cache = cacheOf()
  const reads = [slowRead(), slowRead()]
  const loads = reads.map(({ read }) => cache.load(repository, latest, read))
  for (const { end } of reads) end(one)
  assert.deepEqual(await Promise.all(loads), [one, one])
  cache.invalidate(repository)
  assert.equal(cache.get(repository, latest), undefined)
})

test('the least recently used entries go when there are too many', async () => {
  const cache = cacheOf({ entriesMax: 2 })
  await cache.load(repository, latest, () => Promise.resolve(one))
  await cache.load(repository, stable, () => Promise.resolve(one))
  cache.get(repository, latest)
  await cache.load(otherRepository, latest, () => Promise.resolve(two))
  assert.equal(cache.get(repository, stable), undefined)
  assert.equal(cache.get(repository, latest), one)
  assert.equal(cache.get(otherRepository, latest), two)
})

test('the bytes of all entries together have a bound, and too large a manifest is not kept', async () => {
  const cache = cacheOf({ bytesMax: 5 })
  await cache.load(repository, latest, () => Promise.resolve(one))
  await cache.load(repository, stable, () => Promise.resolve(two))
  assert.equal(cache.get(repository, latest), undefined)
  assert.equal(cache.get(repository, stable), two)
  const large = manifest('larger than all')
  assert.equal(await cache.load(otherRepository, latest, () => Promise.resolve(large)), large)
  assert.equal(cache.get(otherRepository, latest), undefined)
  assert.equal(cache.get(repository, stable), two)
})

test('in any order of reads and writes, what is answered was true when the read began or after', async () => {
  const names = [repository, otherRepository]
  const references = [latest, stable]
  const place = { name: fc.constantFrom(...names), reference: fc.constantFrom(...references) }
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ verb: fc.constant('begin' as const), ...place }) },
    { weight: 3, arbitrary: fc.record({ verb: fc.constant('end' as const), index: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ verb: fc.constant('write' as const), ...place }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const cache = cacheOf({ entriesMax: 3 })
      const store = new Map<string, StoredManifest>()
      const under: { settle: () => void; loading: Promise<unknown> }[] = []
      const key = (name: RepositoryName, reference: Reference): string => `${name}:${reference}`
      for (const name of names) for (const ref of references) store.set(key(name, ref), one)
      let version = 0
      for (const step of steps) {
        if (step.verb === 'write') {
          version += 1
          store.set(key(step.name, step.reference), manifest(`version ${version}`))
          cache.invalidate(step.name)
        } else if (step.verb === 'begin') {
          // The store is looked at when the read begins, its answer arrives later.
          const seen = store.get(key(step.name, step.reference))
          const slow = slowRead()
          const loading = cache.load(step.name, step.reference, slow.read)
          under.push({ settle: () => slow.end(seen), loading })
        } else {
          const [ended] = under.splice(step.index % Math.max(1, under.length), 1)
          ended?.settle()
          await ended?.loading
        }
        for (const name of names) {
          for (const reference of references) {
            const cached = cache.get(name, reference)
            if (cached !== undefined) assert.equal(cached, store.get(key(name, reference)))
          }
        }
      }
      for (const { settle } of under) settle()
      await Promise.all(under.map(({ loading }) => loading))
    }),
    { numRuns: 300 },
  )
})
