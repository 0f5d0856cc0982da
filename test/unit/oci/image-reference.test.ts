import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { OciError } from '../../../src/oci/errors.ts'
import {
  formatImageReference,
  parseImageReference,
  parseRegistryHost,
} from '../../../src/oci/image-reference.ts'

const sha256 = `sha256:${'a'.repeat(64)}`
const sha512 = `sha512:${'b'.repeat(128)}`

describe('an image reference is normalised', () => {
  const cases: [text: string, normal: string][] = [
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['bitnami/redis', 'docker.io/bitnami/redis:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['registry-1.docker.io/library/nginx', 'docker.io/library/nginx:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:1', 'localhost:5000/app:1'],
    ['localhost:5000', 'docker.io/library/localhost:5000'],
    ['registry.trow.io/user1/web', 'registry.trow.io/user1/web:latest'],
    ['REGISTRY.trow.io/web', 'registry.trow.io/web:latest'],
    ['LocalHost/web', 'localhost/web:latest'],
    ['my_registry:5000/a/b/c/d:x', 'my_registry:5000/a/b/c/d:x'],
    ['my_registry.io/nginx', 'my_registry.io/nginx:latest'],
    ['my_registry/nginx', 'docker.io/my_registry/nginx:latest'],
    ['127.0.0.1:8000/app', '127.0.0.1:8000/app:latest'],
    ['[::1]:8000/app', '[::1]:8000/app:latest'],
    ['[2001:DB8:0::1]/app:t', '[2001:db8::1]/app:t'],
    [`app@${sha256}`, `docker.io/library/app@${sha256}`],
    [`quay.io/a/b:v1@${sha512}`, `quay.io/a/b:v1@${sha512}`],
    ['quay.io:443/a', 'quay.io:443/a:latest'],
  ]
  for (const [text, normal] of cases) {
    test(`${text} is ${normal}`, () => {
      assert.equal(formatImageReference(parseImageReference(text)), normal)
    })
  }

  test('its manifest is asked for by the digest where there is one', () => {
    assert.equal(parseImageReference(`a:tag@${sha256}`).reference, sha256)
    assert.equal(parseImageReference('a:tag').reference, 'tag')
    assert.equal(parseImageReference(`a@${sha256}`).tag, undefined)
  })

  test('it cannot be changed', () => {
    assert.ok(Object.isFrozen(parseImageReference('a')))
  })
})

describe('what is no image reference is refused with a reason', () => {
  const cases: [text: string, reason: RegExp][] = [
    ['', /empty/],
    ['https://quay.io/a', /scheme/],
    ['a/', /empty path segment/],
    ['quay.io/', /empty/],
    ['quay.io/Upper', /lower case/],
    ['Upper', /lower case/],
    ['Registry/web', /lower case/],
    ['a:', /tag/],
    ['a:b:c', /tag/],
    ['a:-x', /tag/],
    ['a@sha256:abc', /digest/],
    ['a@md5:abc', /digest/],
    ['user@quay.io/a', /digest/],
    ['a'.repeat(64), /image ID/],
    ['quay.io:0/a', /port/],
    ['quay.io:65536/a', /port/],
    ['quay.io:080/a', /port/],
    ['quay.io:x/a', /port/],
    ['quay..io/a', /single dots/],
    ['-quay.io/a', /letters, digits/],
    ['999.1.1.1/a', /IPv4/],
    ['127.1:80/a', /IPv4/],
    ['0x7f.0x1:80/a', /IPv4/],
    ['[::1/a', /IPv6/],
    ['[fe80::1%eth0]/a', /IPv6/],
    ['::1/a', /port|IPv6|empty/],
    ['quay.io/a b', /segment/],
    ['a'.repeat(2000), /characters/],
  ]
  for (const [text, reason] of cases) {
    test(`${JSON.stringify(text.slice(0, 40))} is refused: ${reason.source}`, () => {
      assert.throws(
        () => parseImageReference(text),
        (error) => error instanceof OciError && reason.test(error.message),
      )
    })
  }
})

describe('properties of references', () => {
  const label = fc.stringMatching(/^[a-z0-9](?:[a-z0-9_-]{0,8}[a-z0-9])?$/)
  const host = fc.oneof(
    fc.tuple(label, fc.stringMatching(/^[a-z]{2,6}$/)).map(([a, b]) => `${a}.${b}`),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  )
  const port = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined })
  const segment = fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/)
  const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'))
  const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/)

  test('a complete reference is read as it was written, and written as it was read', () => {
    fc.assert(
      fc.property(host, port, path, tag, (host, port, path, tag) => {
        fc.pre(URL.canParse(`https://${host}`))
        const text = `${host}${port === undefined ? '' : `:${port}`}/${path}:${tag}`
        const image = parseImageReference(text)
        assert.equal(image.tag, tag)
        const normal = formatImageReference(image)
        assert.equal(formatImageReference(parseImageReference(normal)), normal)
        assert.ok(normal.endsWith(`/${path}:${tag}`))
      }),
    )
  })

  test('any text is either a reference or an OciError', () => {
    const near = fc.string({ unit: fc.constantFrom(...'aA0.:/@[]-_% \n'.split('')) })
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), near), (text) => {
        try {
          const normal = formatImageReference(parseImageReference(text))
          assert.equal(formatImageReference(parseImageReference(normal)), normal)
        } catch (error) {
          assert.ok(error instanceof OciError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('a host that is accepted is the host of its URL', () => {
    const near = fc.string({ unit: fc.constantFrom(...'ax019.:-_[]fn'.split('')), maxLength: 16 })
    fc.assert(
      fc.property(near, (text) => {
        let host: string
        try {
          host = parseRegistryHost(text)
        } catch {
          return
        }
        const [, name, port = ''] = /^(.*?)(?::(\d+))?$/.exec(host) ?? []
        const url = new URL(`http://${host}`)
        assert.equal(url.hostname, name)
        assert.equal(url.port, port === '80' ? '' : port)
      }),
      { numRuns: 5_000 },
    )
  })
})
