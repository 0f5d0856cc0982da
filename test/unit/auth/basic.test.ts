// The Authorization header: what is understood, what is refused, and that bytes come through as sent.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseAuthorization, type Authorization } from '../../../src/auth/basic.ts'
import { ChallengeError } from '../../../src/auth/challenge.ts'

function basic(user: string, password: string): Authorization {
  return {
    scheme: 'basic',
    credentials: { user: Buffer.from(user), password: Buffer.from(password) },
  }
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64')
}

const headers: [header: string, parsed: Authorization][] = [
  [`Basic ${encode('user:pass')}`, basic('user', 'pass')],
  [`basic ${encode('user:pass')}`, basic('user', 'pass')],
  [` BASIC \t ${encode('user:pass')} `, basic('user', 'pass')],
  [`Basic ${encode('user:pass').replaceAll('=', '')}`, basic('user', 'pass')],
  [`Basic ${encode('user:a:b:')}`, basic('user', 'a:b:')],
  [`Basic ${encode('üser:pässwörd €')}`, basic('üser', 'pässwörd €')],
  [`Basic ${encode(':')}`, basic('', '')],
  [`Basic ${encode('no colon')}`, { scheme: 'basic' }],
  ['Basic', { scheme: 'basic' }],
  ['Basic dXNlcjpwYXNz!', { scheme: 'basic' }],
  ['Basic dXNl cjpwYXNz', { scheme: 'basic' }],
  ['Bearer abc.def', { scheme: 'bearer', token: 'abc.def' }],
  ['bEARER  abc', { scheme: 'bearer', token: 'abc' }],
  ['Bearer', { scheme: 'bearer', token: '' }],
]
for (const [header, parsed] of headers) {
  test(`the header "${header}" is understood`, () => {
    assert.deepEqual(parseAuthorization(header), parsed)
  })
}

test('a scheme that is not offered is named in the refusal, a bare secret is not', () => {
  assert.throws(() => parseAuthorization('Digest username="x"'), {
    name: 'OciError',
    code: 'UNAUTHORIZED',
    message: 'the Authorization scheme "Digest" is not supported: use Basic or Bearer',
  })
  for (const header of ['hunter2', 'ghp_secret', '']) {
    assert.throws(() => parseAuthorization(header), {
      message: 'the Authorization scheme is not supported: use Basic or Bearer',
    })
  }
})

test('any name without a colon and any password come through byte for byte', () => {
  const bytes = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes))
  const name = bytes.map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0x3a)))
  fc.assert(
    fc.property(name, bytes, (user, password) => {
      const value = Buffer.concat([user, Buffer.from(':'), password]).toString('base64')
      assert.deepEqual(parseAuthorization(`Basic ${value}`), {
        scheme: 'basic',
        credentials: { user, password },
      })
    }),
  )
})

test('any header is read, or refused with a challenge', () => {
  const header = fc.oneof(
    fc.string(),
    fc.string().map((text) => `Basic ${text}`),
  )
  fc.assert(
    fc.property(header, (header) => {
      try {
        parseAuthorization(header)
      } catch (error) {
        assert.ok(error instanceof ChallengeError)
      }
    }),
  )
})
