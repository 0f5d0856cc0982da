// The router: repository names of any number of segments between fixed ends, percent-encoding, and
// which of several patterns is taken.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Router } from '../../../src/http/router.ts'
import { OciError } from '../../../src/oci/errors.ts'

const router = new Router(
  [
    '/',
    '/v2/',
    '/v2',
    '/healthz',
    '/v2/_catalog',
    '/v2/:repository/tags/list',
    '/v2/:repository/manifests/:reference',
    '/v2/:repository/blobs/uploads/',
    '/v2/:repository/blobs/uploads',
    '/v2/:repository/blobs/uploads/:session',
    '/v2/:repository/blobs/:digest',
  ].map((pattern) => ({ pattern })),
)

function match(path: string): [pattern: string, parameters: object] | undefined {
  const found = router.match(path)
  return found && [found.route.pattern, { ...found.parameters }]
}

const manifests = '/v2/:repository/manifests/:reference'
const uploads = '/v2/:repository/blobs/uploads'
const session = '/v2/:repository/blobs/uploads/:session'
const blobs = '/v2/:repository/blobs/:digest'

const matches: [path: string, pattern: string, parameters: Record<string, string>][] = [
  ['/', '/', {}],
  ['/v2/', '/v2/', {}],
  ['/v2', '/v2', {}],
  ['/v2/_catalog', '/v2/_catalog', {}],
  ['/v2/a/manifests/latest', manifests, { repository: 'a', reference: 'latest' }],
  ['/v2/a/b/c/d/manifests/x', manifests, { repository: 'a/b/c/d', reference: 'x' }],
  ['/v2/a/manifests/sha256%3Aab', manifests, { repository: 'a', reference: 'sha256:ab' }],
  ['/v2/a%2Fb/manifests/x', manifests, { repository: 'a/b', reference: 'x' }],
  ['/v2/a/blobs/uploads/', `${uploads}/`, { repository: 'a' }],
  ['/v2/a/blobs/uploads', uploads, { repository: 'a' }],
  ['/v2/a/blobs/uploads/1-2', session, { repository: 'a', session: '1-2' }],
  ['/v2/a/blobs/sha256:ab', blobs, { repository: 'a', digest: 'sha256:ab' }],
  ['/v2/a/tags/list', '/v2/:repository/tags/list', { repository: 'a' }],
  // Names that look like the fixed ends.
  [
    '/v2/manifests/manifests/manifests',
    manifests,
    { repository: 'manifests', reference: 'manifests' },
  ],
  ['/v2/a/tags/list/tags/list', '/v2/:repository/tags/list', { repository: 'a/tags/list' }],
  ['/v2/a/blobs/uploads/manifests/x', manifests, { repository: 'a/blobs/uploads', reference: 'x' }],
  ['/v2/a/blobs/uploads/blobs/x', blobs, { repository: 'a/blobs/uploads', digest: 'x' }],
  ['/v2/a/manifests/blobs/uploads/', `${uploads}/`, { repository: 'a/manifests' }],
  // An empty repository name is the repository's parser's to refuse, with an error that says so.
  ['/v2//manifests/x', manifests, { repository: '', reference: 'x' }],
  ['/v2/a//b/manifests/x', manifests, { repository: 'a//b', reference: 'x' }],
  ['/v2/../manifests/x', manifests, { repository: '..', reference: 'x' }],
]

for (const [path, pattern, parameters] of matches) {
  test(`${path} is ${pattern}`, () => assert.deepEqual(match(path), [pattern, parameters]))
}

const unmatched = [
  '//',
  '/v1/',
  '/healthz/',
  '/HEALTHZ',
  '/v2/a',
  '/v2/a/',
  '/v2/manifests/x',
  '/v2/a/manifests',
  '/v2/a/manifests/',
  '/v2/a/manifests/x/',
  '/v2/a/manifests/x/y',
  '/v2/tags/list',
  '/v2/_catalog/',
  '/x/v2/a/manifests/b',
]

for (const path of unmatched) {
  test(`${path} is nothing`, () => assert.equal(match(path), undefined))
}

for (const path of ['/v2/a/manifests/%', '/v2/%zz/manifests/x', '/v2/a/manifests/%ff', '/%e0%a4']) {
  test(`${path} cannot be decoded`, () => {
    assert.throws(() => router.match(path), { name: 'OciError', status: 400 })
  })
}

test('any repository name and reference come out of a path as they went in', () => {
  const segment = fc.stringMatching(/^[a-z0-9]{1,4}(?:[._-][a-z0-9]{1,3})?$/)
  const fixed = fc.constantFrom('manifests', 'blobs', 'uploads', 'tags', 'list', 'v2')
  const repository = fc
    .array(fc.oneof(segment, fixed), { minLength: 1, maxLength: 6 })
    .map((segments) => segments.join('/'))
  fc.assert(
    fc.property(repository, segment, (repository, reference) => {
      assert.deepEqual(match(`/v2/${repository}/manifests/${reference}`), [
        manifests,
        { repository, reference },
      ])
      assert.deepEqual(match(`/v2/${repository}/tags/list`), [
        '/v2/:repository/tags/list',
        { repository },
      ])
    }),
  )
})

test('no path makes the router throw anything but an OciError', () => {
  const piece = fc.constantFrom('/', 'v2', '%', '%2F', '%00', 'a', 'manifests', '..', 'ä', '\ud800')
  const path = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)
  fc.assert(
    fc.property(path, (path) => {
      try {
        router.match(path)
      } catch (error) {
        assert.ok(error instanceof OciError)
      }
    }),
  )
})
