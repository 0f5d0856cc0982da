// Digests: what is one and what is not, after the image specification's descriptor.md, and that
// hashing in pieces gives what hashing at once does.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  digestAlgorithm,
  Digester,
  digestHex,
  digestOf,
  isDigest,
  isDigestAlgorithm,
  parseDigest,
  parseDigestAlgorithm,
} from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'

const hex64 = 'a3'.repeat(32)
const hex128 = '0f'.repeat(64)

const digests = [`sha256:${hex64}`, `sha512:${hex128}`, `sha256:${'0'.repeat(64)}`]

for (const text of digests) {
  test(`${text.slice(0, 24)}... is a digest`, () => {
    assert.equal(parseDigest(text), text)
    assert.equal(isDigest(text), true)
    const digest = parseDigest(text)
    assert.equal(`${digestAlgorithm(digest)}:${digestHex(digest)}`, text)
  })
}

const otherTexts: [name: string, text: string][] = [
  ['nothing', ''],
  ['a colon alone', ':'],
  ['hex without an algorithm', hex64],
  ['an empty algorithm', `:${hex64}`],
  ['an algorithm without hex', 'sha256:'],
  ['an algorithm alone', 'sha256'],
  ['upper-case hex', `sha256:${hex64.toUpperCase()}`],
  ['an upper-case algorithm', `SHA256:${hex64}`],
  ['63 characters', `sha256:${hex64.slice(1)}`],
  ['65 characters', `sha256:${hex64}0`],
  ['sha512 of the length of sha256', `sha512:${hex64}`],
  ['sha256 of the length of sha512', `sha256:${hex128}`],
  ['an algorithm that is not computed', `sha1:${'0'.repeat(40)}`],
  ['an algorithm that the grammar allows and nobody registered', `multihash+base58:${hex64}`],
  ['a name that every object has', `constructor:${hex64}`],
  ['another such name', `__proto__:${hex64}`],
  ['a letter past f', `sha256:g${hex64.slice(1)}`],
  ['a path in the hex', `sha256:../${hex64.slice(3)}`],
  ['a slash at the end', `sha256:${hex64.slice(1)}/`],
  ['a line feed after it', `sha256:${hex64}\n`],
  ['a line feed as its last character', `sha256:${hex64.slice(1)}\n`],
  ['white space before it', ` sha256:${hex64}`],
  ['a second colon', `sha256:${hex64.slice(1)}:`],
  ['full-width digits', `sha256:${'０'.repeat(64)}`],
]

for (const [name, text] of otherTexts) {
  test(`${name} is no digest`, () => {
    assert.equal(isDigest(text), false)
    assert.throws(() => parseDigest(text), {
      name: 'OciError',
      code: 'DIGEST_INVALID',
      status: 400,
    })
  })
}

test('any text is a digest by the specification, or DIGEST_INVALID', () => {
  const ofSpecification = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[a-z0-9+._-]{0,8}:[a-f0-9]{0,140}$/),
    fc.stringMatching(/^sha(?:256|512):[a-fA-F0-9]{63,65}$/),
    fc.stringMatching(ofSpecification),
  )
  fc.assert(
    fc.property(text, (text) => {
      assert.equal(isDigest(text), ofSpecification.test(text))
      if (isDigest(text)) assert.equal(parseDigest(text), text)
      else assert.throws(() => parseDigest(text), OciError)
    }),
  )
})

test('an error shows the digest at fault, but not megabytes of it', () => {
  assert.throws(
    () => parseDigest('x'.repeat(1_000_000)),
    (error: OciError) => JSON.stringify(error.detail).length < 300,
  )
})

for (const [text, expected] of [
  ['sha256', true],
  ['sha512', true],
  ['sha384', false],
  ['SHA256', false],
  ['', false],
  ['toString', false],
] as const) {
  test(`${JSON.stringify(text)} is ${expected ? 'an' : 'no'} algorithm of ours`, () => {
    assert.equal(isDigestAlgorithm(text), expected)
    if (expected) assert.equal(parseDigestAlgorithm(text), text)
    else assert.throws(() => parseDigestAlgorithm(text), { code: 'DIGEST_INVALID' })
  })
}

for (const algorithm of ['sha256', 'sha512'] as const) {
  test(`bytes in any pieces have the ${algorithm} of all of them`, () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (pieces) => {
        const digester = new Digester(algorithm)
        for (const piece of pieces) digester.update(piece)
        const whole = Buffer.concat(pieces)
        const expected = `${algorithm}:${createHash(algorithm).update(whole).digest('hex')}`
        assert.equal(digester.digest(), expected)
        assert.equal(digestOf(whole, algorithm), expected)
        assert.equal(isDigest(expected), true)
      }),
    )
  })
}

test('the digest of nothing is the well-known one', () => {
  assert.equal(
    digestOf(new Uint8Array()),
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
})
