import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { type RegistryHost } from '../../../src/oci/image-reference.ts'
import {
  type Credentials,
  IdentityToken,
  PasswordCredentials,
} from '../../../src/upstream/credentials.ts'
import { findAuth, parseDockerConfig } from '../../../src/upstream/docker-config.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

function find(auths: object, registry: string, repository?: string): string | undefined {
  const config = parseDockerConfig(JSON.stringify({ auths }))
  assert.ok(config)
  return reveal(findAuth(config, registry as RegistryHost, repository))
}

function reveal(credentials: Credentials | undefined): string | undefined {
  if (credentials instanceof IdentityToken) return `token ${credentials.reveal()}`
  const basic = credentials?.toBasic().slice('Basic '.length)
  return basic === undefined ? undefined : Buffer.from(basic, 'base64').toString()
}

describe('a login file', () => {
  const cases: [what: string, auths: object, registry: string, found: string | undefined][] = [
    ['base64 of user and password', { h: { auth: base64('u:p') } }, 'h', 'u:p'],
    ['a colon in the password', { h: { auth: base64('u:p:q') } }, 'h', 'u:p:q'],
    ['padding of NULs', { h: { auth: base64('u:p\0\0') } }, 'h', 'u:p'],
    ['user and password in clear', { h: { username: 'u', password: 'p' } }, 'h', 'u:p'],
    ['an identity token', { h: { auth: base64('u:'), identitytoken: 't' } }, 'h', 'token t'],
    ['a port', { 'h:5000': { auth: base64('u:p') } }, 'h:5000', 'u:p'],
    ['another port', { 'h:5000': { auth: base64('u:p') } }, 'h', undefined],
    ['a URL', { 'https://h/v2/': { auth: base64('u:p') } }, 'h', 'u:p'],
    ['an old URL', { 'http://h/v1/': { auth: base64('u:p') } }, 'h', 'u:p'],
    [
      'Docker Hub’s old URL',
      { 'https://index.docker.io/v1/': { auth: base64('u:p') } },
      'docker.io',
      'u:p',
    ],
    ['capitals', { 'H.example': { auth: base64('u:p') } }, 'h.example', 'u:p'],
    ['no user', { h: { auth: base64(':p') } }, 'h', undefined],
    ['no colon', { h: { auth: base64('up') } }, 'h', undefined],
    ['an empty entry, as left by a credential helper', { h: {} }, 'h', undefined],
    ['an entry of another shape', { h: 5 }, 'h', undefined],
  ]
  for (const [what, auths, registry, found] of cases) {
    test(`with ${what}`, () => assert.equal(find(auths, registry), found))
  }

  test('with paths: the longest one that the repository is in', () => {
    const auths = {
      h: { auth: base64('host:p') },
      'h/team': { auth: base64('team:p') },
      'h/team/app': { auth: base64('app:p') },
    }
    assert.equal(find(auths, 'h', 'team/app'), 'app:p')
    assert.equal(find(auths, 'h', 'team/application'), 'team:p')
    assert.equal(find(auths, 'h', 'teams'), 'host:p')
    assert.equal(find(auths, 'h'), 'host:p')
  })

  test('with helpers', () => {
    const text = JSON.stringify({ credHelpers: { 'https://h/': 'x', g: '' }, credsStore: 'y' })
    const config = parseDockerConfig(text)
    assert.deepEqual([...(config?.helpers ?? [])], [['h', 'x']])
    assert.equal(config?.defaultHelper, 'y')
  })

  test('of any content is parsed or refused without an error', () => {
    fc.assert(
      fc.property(fc.json(), fc.string(), (json, text) => {
        parseDockerConfig(json)
        parseDockerConfig(text)
        parseDockerConfig(`{"auths":${json},"credHelpers":${json},"credsStore":${json}}`)
      }),
    )
  })
})

test('credentials show no secret when they are printed', () => {
  const all = [new PasswordCredentials('user', 'secret'), new IdentityToken('secret')]
  for (const credentials of all) {
    assert.doesNotMatch(JSON.stringify(credentials) + inspect(credentials), /secret/)
  }
})
