// Requests to the token endpoint, as queries and as forms.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseTokenForm, parseTokenQuery } from '../../../src/auth/token-request.ts'
import { limits } from '../../../src/config/limits.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { formatScope } from '../../../src/oci/scope.ts'

const scopes: [query: string, scopes: string[]][] = [
  ['', []],
  ['service=trow_registry&account=me&client_id=docker&offline_token=true', []],
  ['scope=repository:a/b:pull,push', ['repository:a/b:pull,push']],
  ['scope=repository:a:pull&scope=registry:catalog:*', ['repository:a:pull', 'registry:catalog:*']],
  ['scope=repository:a:pull%20%20repository:b:push', ['repository:a:pull', 'repository:b:push']],
  ['scope=push/pull&scope=&scope=repository:a:pull', ['repository:a:pull']],
  ['scope=repository(plugin):a:pull,fly', ['repository:a:pull']],
]
for (const [query, expected] of scopes) {
  test(`the query "${query}" asks for ${expected.join(' ') || 'no scope'}`, () => {
    const request = parseTokenQuery(new URLSearchParams(query))
    assert.deepEqual(request.scopes.map(formatScope), expected)
    assert.deepEqual(request.grant, { type: 'header' })
    assert.equal(request.offline, false)
  })
}

test('a password form gives the login as it was typed', () => {
  const form = new URLSearchParams({
    grant_type: 'password',
    username: 'mé',
    password: 'a:b &=+%',
    scope: 'repository:a:pull repository:b:push',
    client_id: 'containerd-client',
    access_type: 'offline',
  })
  assert.deepEqual(parseTokenForm(new URLSearchParams(form.toString())), {
    grant: {
      type: 'password',
      credentials: { user: Buffer.from('mé'), password: Buffer.from('a:b &=+%') },
    },
    scopes: [
      { type: 'repository', name: 'a', actions: ['pull'] },
      { type: 'repository', name: 'b', actions: ['push'] },
    ],
    offline: true,
  })
})

test('a refresh form gives its token', () => {
  const form = new URLSearchParams('grant_type=refresh_token&refresh_token=abc&service=x')
  assert.deepEqual(parseTokenForm(form), {
    grant: { type: 'refresh_token', token: 'abc' },
    scopes: [],
    offline: false,
  })
})

const badForms: [form: string, message: RegExp][] = [
  ['', /no grant_type/],
  ['grant_type=authorization_code', /not supported: use password or refresh_token/],
  ['grant_type=password&username=me', /no password/],
  ['grant_type=password&password=secret', /no username/],
  ['grant_type=refresh_token', /no refresh_token/],
]
for (const [form, message] of badForms) {
  test(`the form "${form}" is refused with the reason`, () => {
    assert.throws(() => parseTokenForm(new URLSearchParams(form)), { status: 400, message })
  })
}

test('more scopes than a token holds are refused', () => {
  const query = new URLSearchParams()
  const max = limits.scopesPerTokenMax
  for (let i = 0; i < max; i += 1) query.append('scope', `repository:a${i}:pull`)
  assert.equal(parseTokenQuery(query).scopes.length, max)
  query.append('scope', 'no scope')
  assert.throws(() => parseTokenQuery(query), { code: 'UNSUPPORTED', status: 400 })
})

test('any form is read, or refused with an error for the client', () => {
  const name = fc.constantFrom('grant_type', 'username', 'password', 'refresh_token', 'scope')
  const value = fc.oneof(fc.string(), fc.constantFrom('password', 'refresh_token'))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
      const form = new URLSearchParams(pairs)
      try {
        parseTokenForm(form)
        parseTokenQuery(form)
      } catch (error) {
        assert.ok(error instanceof OciError)
      }
    }),
  )
})
