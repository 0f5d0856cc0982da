// References: a colon tells a digest from a tag, and each is judged by its own rules.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { isDigest } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { isDigestReference, parseReference } from '../../../src/oci/reference.ts'
import { isTag } from '../../../src/oci/tag.ts'

const hex = 'ab'.repeat(32)

const references: [text: string, outcome: 'tag' | 'digest' | 'TAG_INVALID' | 'DIGEST_INVALID'][] = [
  ['latest', 'tag'],
  // The fallback tag of referrers looks like a digest, and is a tag.
  [`sha256-${hex}`, 'tag'],
  [hex, 'tag'],
  [`sha256:${hex}`, 'digest'],
  [`sha512:${hex}${hex}`, 'digest'],
  ['', 'TAG_INVALID'],
  ['a/b', 'TAG_INVALID'],
  ['sha256:', 'DIGEST_INVALID'],
  ['latest:latest', 'DIGEST_INVALID'],
  [`sha1:${hex}`, 'DIGEST_INVALID'],
]

for (const [text, outcome] of references) {
  test(`${JSON.stringify(text.slice(0, 40))} as a reference: ${outcome}`, () => {
    if (outcome === 'tag' || outcome === 'digest') {
      assert.equal(parseReference(text), text)
      assert.equal(isDigestReference(parseReference(text)), outcome === 'digest')
    } else {
      assert.throws(() => parseReference(text), { name: 'OciError', code: outcome })
    }
  })
}

test('any text is a tag, or a digest, or an OciError', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom('a', '7', ':', '.', '-') }),
    fc.constant(`sha256:${hex}`),
  )
  fc.assert(
    fc.property(text, (text) => {
      if (isTag(text) || isDigest(text)) {
        assert.equal(isDigestReference(parseReference(text)), isDigest(text))
      } else {
        assert.throws(() => parseReference(text), OciError)
      }
    }),
  )
})
