// Tags, after the specification's regular expression (section "Pulling manifests").

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { OciError } from '../../../src/oci/errors.ts'
import { isTag, parseTag, tagLengthMax } from '../../../src/oci/tag.ts'

const tags = [
  'latest',
  'v1.2.3',
  '_',
  '0',
  'A',
  'a-',
  'a.',
  'a..b',
  '_-.',
  'sha256-abc.sig',
  'x'.repeat(tagLengthMax),
]

for (const text of tags) {
  test(`${text.slice(0, 40)} is a tag`, () => {
    assert.equal(isTag(text), true)
    assert.equal(parseTag(text), text)
  })
}

const otherTexts = [
  '',
  '.',
  '..',
  '.a',
  '-a',
  'a b',
  'a/b',
  'a:b',
  'a@b',
  'a+b',
  'a\n',
  'ä',
  'a,b',
  'x'.repeat(tagLengthMax + 1),
]

for (const text of otherTexts) {
  test(`${JSON.stringify(text.slice(0, 40))} is no tag`, () => {
    assert.equal(isTag(text), false)
    assert.throws(() => parseTag(text), { name: 'OciError', code: 'TAG_INVALID', status: 400 })
  })
}

test('any text is a tag by the specification, or TAG_INVALID', () => {
  const ofSpecification = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom('a', 'Z', '7', '.', '_', '-', '+'), maxLength: 8 }),
    fc.string({ unit: fc.constant('a'), minLength: 126, maxLength: 130 }),
  )
  fc.assert(
    fc.property(text, (text) => {
      assert.equal(isTag(text), ofSpecification.test(text))
      if (isTag(text)) assert.equal(parseTag(text), text)
      else assert.throws(() => parseTag(text), OciError)
    }),
  )
})
