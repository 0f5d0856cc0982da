// Referrers may carry megabytes each: they are read a few at a time, until a page is full.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../../src/oci/digest.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { readReferrers } from '../../../src/registry/listings.ts'
import type { MetadataStore, PageRequest } from '../../../src/registry/ports/metadata-store.ts'
import type { Referrer } from '../../../src/registry/ports/records.ts'

const repository = parseRepositoryName('a')
const subject = digestOf(Buffer.from('subject'))
const annotations = { filler: 'x'.repeat(10_000) }
const all: Referrer[] = Array.from({ length: 100 }, (_, number) => ({
  digest: digestOf(Buffer.from(String(number))),
  mediaType: mediaTypes.ociManifest,
  size: 1,
  annotations,
})).toSorted((a, b) => (a.digest < b.digest ? -1 : 1))

/** Counts the most that were read at once, and all. */
function store() {
  const read = { atOnce: 0, inAll: 0 }
  const listReferrers = (_: unknown, __: unknown, { after = '', limit }: PageRequest) => {
    const found = all.filter(({ digest }) => digest > after).slice(0, limit)
    read.atOnce = Math.max(read.atOnce, found.length)
    read.inAll += found.length
    return Promise.resolve(found)
  }
  return { read, metadata: { listReferrers } as unknown as MetadataStore }
}

test('a page ends where its bytes do, and little more is read', async () => {
  const { metadata, read } = store()
  const page = { limit: 1_000, bytesMax: 100_000 }
  const { entries, hasMore } = await readReferrers(metadata, repository, subject, page)
  assert.deepEqual(entries, all.slice(0, 9))
  assert.equal(hasMore, true)
  assert.ok(read.atOnce <= 8 && read.inAll <= 16, JSON.stringify(read))
})

test('one that fits no page is a page', async () => {
  const page = { limit: 1_000, bytesMax: 5 }
  const { entries } = await readReferrers(store().metadata, repository, subject, page)
  assert.equal(entries.length, 1)
})

for (const limit of [0, 1, 7, 8, 9, 99, 100, 101]) {
  test(`pages of ${limit} are followed to the end`, async () => {
    const { metadata } = store()
    const read: Referrer[] = []
    for (;;) {
      const after = read.at(-1)?.digest
      const page = { limit, bytesMax: Infinity, ...(after !== undefined && { after }) }
      const { entries, hasMore } = await readReferrers(metadata, repository, subject, page)
      assert.ok(entries.length <= limit)
      read.push(...entries)
      if (!hasMore || limit === 0) break
    }
    assert.deepEqual(read, limit === 0 ? [] : all)
  })
}
