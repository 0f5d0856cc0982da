// Descriptors: the three required fields are checked and the error names the place; the platform,
// which is only shown to people, is taken when it makes sense.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseDescriptor } from '../../../src/oci/descriptor.ts'
import { isDigest } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'

const digest = `sha256:${'5e'.repeat(32)}`
const good = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 7 }

test('a descriptor keeps what a registry needs and leaves the rest out', () => {
  const full = { ...good, urls: ['https://example.com'], annotations: { a: 'b' }, data: 'aGk=' }
  assert.deepEqual(parseDescriptor(full, 'config'), good)
})

for (const size of [0, 1, Number.MAX_SAFE_INTEGER]) {
  test(`a size of ${size} is taken`, () => {
    assert.equal(parseDescriptor({ ...good, size }, 'config').size, size)
  })
}

const bad: [name: string, value: unknown, problem: RegExp][] = [
  ['undefined', undefined, /layers\[3\] is not a descriptor object/],
  ['null', null, /layers\[3\] is not a descriptor object/],
  ['a list', [good], /layers\[3\] is not a descriptor object/],
  ['a text', digest, /layers\[3\] is not a descriptor object/],
  ['one without a mediaType', { digest, size: 7 }, /layers\[3\] has no mediaType/],
  ['an empty mediaType', { ...good, mediaType: '' }, /layers\[3\] has no mediaType/],
  ['a numeric mediaType', { ...good, mediaType: 1 }, /layers\[3\] has no mediaType/],
  ['one without a digest', { ...good, digest: undefined }, /layers\[3\] has no valid sha256/],
  [
    'an md5 digest',
    { ...good, digest: `md5:${'0'.repeat(32)}` },
    /layers\[3\] has no valid sha256/,
  ],
  ['an upper-case digest', { ...good, digest: digest.toUpperCase() }, /has no valid sha256/],
  ['one without a size', { ...good, size: undefined }, /layers\[3\] has no valid size/],
  ['a negative size', { ...good, size: -1 }, /layers\[3\] has no valid size/],
  ['half a byte', { ...good, size: 0.5 }, /layers\[3\] has no valid size/],
  ['a size as text', { ...good, size: '7' }, /layers\[3\] has no valid size/],
  ['a size that cannot be counted to', { ...good, size: 2 ** 53 }, /layers\[3\] has no valid size/],
]

for (const [name, value, problem] of bad) {
  test(`${name} is refused, and the error names the place`, () => {
    assert.throws(
      () => parseDescriptor(value, 'layers[3]'),
      (error) =>
        error instanceof OciError &&
        error.code === 'MANIFEST_INVALID' &&
        problem.test(error.message),
    )
  })
}

const platforms: [name: string, platform: unknown, expected: unknown][] = [
  [
    'os and architecture',
    { os: 'linux', architecture: 'arm64' },
    { os: 'linux', architecture: 'arm64' },
  ],
  [
    'a variant too',
    { os: 'linux', architecture: 'arm', variant: 'v7', 'os.features': [] },
    { os: 'linux', architecture: 'arm', variant: 'v7' },
  ],
  ['no architecture', { os: 'linux' }, undefined],
  ['numbers', { os: 1, architecture: 2 }, undefined],
  ['a text', 'linux/amd64', undefined],
  ['null', null, undefined],
]

for (const [name, platform, expected] of platforms) {
  test(`a platform of ${name} never makes a descriptor invalid`, () => {
    assert.deepEqual(parseDescriptor({ ...good, platform }, 'manifests[0]').platform, expected)
  })
}

test('any value is a descriptor of a valid digest, or MANIFEST_INVALID', () => {
  const field = fc.oneof(fc.constantFrom(...Object.values(good)), fc.jsonValue())
  const value = fc.oneof(
    fc.jsonValue(),
    fc.record({ mediaType: field, digest: field, size: field, platform: field }),
  )
  fc.assert(
    fc.property(value, (value) => {
      try {
        assert.ok(isDigest(parseDescriptor(value, 'config').digest))
      } catch (error) {
        assert.ok(error instanceof OciError)
        assert.equal(error.code, 'MANIFEST_INVALID')
      }
    }),
  )
})
