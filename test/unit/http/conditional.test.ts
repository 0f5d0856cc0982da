// Conditional requests (RFC 9110, section 13) on content whose ETag is its digest.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { etagOf, matchesIfNoneMatch, matchesIfRange } from '../../../src/http/conditional.ts'
import { digestOf } from '../../../src/oci/digest.ts'

const digest = digestOf(Buffer.from('content'))
const other = digestOf(Buffer.from('other content'))
const etag = etagOf(digest)

test('the ETag is the digest in quotes', () => assert.equal(etag, `"${digest}"`))

const ifNoneMatch: [name: string, header: string | undefined, expected: boolean][] = [
  ['no header', undefined, false],
  ['an empty header', '', false],
  ['the ETag', etag, true],
  ['the ETag, weak', `W/${etag}`, true],
  ['the ETag among others', `"x", ${etag},"y"`, true],
  ['white space around it', `  ${etag}  `, true],
  ['anything', '*', true],
  ['anything, with white space', ' * ', true],
  ['another ETag', `"${other}"`, false],
  ['the digest without quotes', digest, false],
  ['a part of the ETag', etag.slice(0, -2), false],
  ['a star among others', '"x", *', false],
]

for (const [name, header, expected] of ifNoneMatch) {
  test(`If-None-Match of ${name} ${expected ? 'matches' : 'does not match'}`, () => {
    assert.equal(matchesIfNoneMatch(header, etag), expected)
  })
}

const ifRange: [name: string, header: string | undefined, expected: boolean][] = [
  ['no header', undefined, true],
  ['the ETag', etag, true],
  ['white space around it', ` ${etag} `, true],
  ['the ETag, weak', `W/${etag}`, false],
  ['another ETag', `"${other}"`, false],
  ['a date', 'Wed, 21 Oct 2015 07:28:00 GMT', false],
  ['an empty header', '', false],
  ['anything', '*', false],
]

for (const [name, header, expected] of ifRange) {
  test(`If-Range of ${name} ${expected ? 'lets' : 'does not let'} the range be honoured`, () => {
    assert.equal(matchesIfRange(header, etag), expected)
  })
}
