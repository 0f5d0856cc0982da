// `n`, `last` and `Link`: bounded pages, and a link that a client's URL parser takes back apart.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { limits } from '../../../src/config/limits.ts'
import { linkToNext, parsePage } from '../../../src/http/pagination.ts'
import { OciError } from '../../../src/oci/errors.ts'

const bounds = { entriesDefault: 5, entriesMax: 20 }

const pages: [query: string, expected: { limit: number; after?: string }][] = [
  ['', { limit: 5 }],
  ['n=', { limit: 5 }],
  ['n=0', { limit: 0 }],
  ['n=7', { limit: 7 }],
  ['n=007', { limit: 7 }],
  ['n=20', { limit: 20 }],
  ['n=21', { limit: 20 }],
  ['n=999999999999999', { limit: 20 }],
  ['last=v1', { limit: 5, after: 'v1' }],
  ['last=', { limit: 5, after: '' }],
  ['n=3&last=a%2Fb', { limit: 3, after: 'a/b' }],
  ['n=3&n=4', { limit: 3 }],
]

for (const [query, expected] of pages) {
  test(`the query "${query}" asks for ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(parsePage(new URLSearchParams(query), bounds), expected)
  })
}

for (const n of ['-1', '1.5', '1e3', 'all', '0x10', ' 1', '1 ', '+1', '1'.repeat(16), 'NaN']) {
  test(`n=${n} is refused`, () => {
    const query = new URLSearchParams({ n })
    assert.throws(() => parsePage(query, bounds), {
      name: 'OciError',
      code: 'PAGINATION_NUMBER_INVALID',
      status: 400,
    })
  })
}

test('without bounds of its own a listing keeps to the general ones', () => {
  assert.equal(parsePage(new URLSearchParams()).limit, limits.pageEntriesDefault)
  assert.equal(parsePage(new URLSearchParams('n=99999999')).limit, limits.pageEntriesMax)
})

test('any query is a page inside the bounds, or an OciError', () => {
  fc.assert(
    fc.property(fc.webQueryParameters(), fc.string(), (query, n) => {
      for (const parameters of [new URLSearchParams(query), new URLSearchParams({ n })]) {
        try {
          const { limit } = parsePage(parameters, bounds)
          assert.ok(Number.isInteger(limit) && limit >= 0 && limit <= bounds.entriesMax)
        } catch (error) {
          assert.ok(error instanceof OciError)
        }
      }
    }),
  )
})

test('the link is relative, so that it works behind any ingress', () => {
  assert.equal(
    linkToNext('/v2/a/tags/list', { limit: 2, next: 'v1' }),
    '</v2/a/tags/list?n=2&last=v1>; rel="next"',
  )
})

test('a client that follows the link asks for the page after the entry, whatever its name', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 20 }), fc.string(), (next, limit, kept) => {
      const link = linkToNext('/v2/a/tags/list', { limit, next }, { artifactType: kept })
      const [, target] = /^<([^<>\s]*)>; rel="next"$/.exec(link) ?? []
      assert.ok(target !== undefined, link)
      const { pathname, searchParams } = new URL(target, 'http://registry.example')
      assert.equal(pathname, '/v2/a/tags/list')
      assert.deepEqual(parsePage(searchParams, bounds), { limit, after: next })
      assert.equal(searchParams.get('artifactType'), kept)
    }),
  )
})
