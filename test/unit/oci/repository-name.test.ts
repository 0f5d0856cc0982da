// Repository names, after the specification's regular expression (section "Pulling manifests").

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OciError } from '../../../src/oci/errors.ts'
import {
  isRepositoryName,
  parseRepositoryName,
  repositoryNameLengthMax,
} from '../../../src/oci/repository-name.ts'

const names = [
  'a',
  '0',
  'nginx',
  'library/nginx',
  'a/b/c/d/e/f/g',
  'f/docker.io/library/nginx',
  'a.b',
  'a_b',
  'a__b',
  'a-b',
  'a---b',
  'a-b_c.d__e/0.1-2',
  'manifests/blobs/uploads/tags/list',
  'a'.repeat(repositoryNameLengthMax),
]

for (const name of names) {
  test(`${name.slice(0, 40)} is a repository name`, () => {
    assert.equal(isRepositoryName(name), true)
    assert.equal(parseRepositoryName(name), name)
  })
}

const otherTexts: [text: string, reason: RegExp][] = [
  ['', /it is empty/],
  ['/', /empty path segment/],
  ['/a', /empty path segment/],
  ['a/', /empty path segment/],
  ['a//b', /empty path segment/],
  ['A', /lower case/],
  ['a/Bc', /lower case/],
  ['a..b', /the segment "a\.\.b"/],
  ['a___b', /the segment "a___b"/],
  ['a.-b', /the segment "a\.-b"/],
  ['a_-b', /the segment "a_-b"/],
  ['.a', /the segment "\.a"/],
  ['a.', /the segment "a\."/],
  ['-a', /the segment "-a"/],
  ['a-', /the segment "a-"/],
  ['_a', /the segment "_a"/],
  ['ok/..', /the segment "\.\."/],
  ['..', /the segment "\.\."/],
  ['a b', /the segment "a b"/],
  ['a:b', /the segment "a:b"/],
  ['a@b', /the segment "a@b"/],
  ['a\\b', /the segment/],
  ['a\n', /the segment/],
  ['a\0', /the segment/],
  ['ä', /the segment "ä"/],
  ['a%2fb', /the segment "a%2fb"/],
  ['a'.repeat(repositoryNameLengthMax + 1), /256 characters, at most 255/],
]

for (const [text, reason] of otherTexts) {
  test(`${JSON.stringify(text.slice(0, 40))} is no repository name, and the error says why`, () => {
    assert.equal(isRepositoryName(text), false)
    assert.throws(
      () => parseRepositoryName(text),
      (error) =>
        error instanceof OciError &&
        error.code === 'NAME_INVALID' &&
        error.status === 400 &&
        reason.test(error.message),
    )
  })
}

test('any text is a name by the specification, or NAME_INVALID', () => {
  const ofSpecification =
    /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom('a', '7', '.', '_', '-', '/', 'Z', ' '), maxLength: 24 }),
    fc.string({ unit: fc.constantFrom('a', '/'), minLength: 250, maxLength: 260 }),
    fc.stringMatching(ofSpecification),
  )
  fc.assert(
    fc.property(text, (text) => {
      const expected = text.length <= repositoryNameLengthMax && ofSpecification.test(text)
      assert.equal(isRepositoryName(text), expected)
      if (expected) assert.equal(parseRepositoryName(text), text)
      else assert.throws(() => parseRepositoryName(text), OciError)
    }),
    { numRuns: 500 },
  )
})

test('a long name that is nearly one is judged without going back and forth for ever', () => {
  for (const text of [`${'a-'.repeat(127)}!`, `${'a'.repeat(254)}!`, `a${'-'.repeat(253)}!`]) {
    assert.equal(isRepositoryName(text), false)
  }
})
