import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { siteRealm } from '../../../src/upstream/realm.ts'

describe('credentials may be sent to a token service', () => {
  const cases: [registry: string, realm: string, trusted: boolean][] = [
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', true],
    ['https://ghcr.io', 'https://ghcr.io/token', true],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', true],
    ['https://gitlab.example.com:5050', 'https://gitlab.example.com/jwt/auth', true],
    ['https://docker.elastic.co', 'https://docker-auth.elastic.co/auth', true],
    ['https://registry.example.com', 'https://a.b.example.com/token', true],
    ['https://quay.example', 'https://auth.quay.example/token', true],
    ['https://registry.corp.co.uk', 'https://auth.corp.co.uk/token', true],
    // On other sites, however much alike.
    ['https://registry.example.com', 'https://evil.com/token', false],
    ['https://registry.example.com', 'https://evilexample.com/token', false],
    ['https://registry.example.com', 'https://example.com.evil.net/token', false],
    ['https://quay.io', 'https://evil.io/token', false],
    ['https://quay.io', 'https://io/token', false],
    ['https://registry', 'https://other/token', false],
    ['https://registry', 'https://evil.registry/token', false],
    // Where strangers are neighbours.
    ['https://registry.co.uk', 'https://evil.co.uk/token', false],
    ['https://registry.com.au', 'https://com.au/token', false],
    ['https://mine.azurecr.io', 'https://yours.azurecr.io/token', false],
    ['https://a.s3.amazonaws.com', 'https://b.s3.amazonaws.com/token', false],
    ['https://192.0.2.1', 'https://9.0.2.1/token', false],
    ['https://10.1.2.3', 'https://9.1.2.3/token', false],
    // In clear.
    ['https://registry.example.com', 'http://registry.example.com/token', false],
    ['https://registry.example.com', 'http://auth.example.com/token', false],
    ['http://registry.example.com', 'http://auth.example.com/token', false],
    ['http://registry.example.com', 'http://registry.example.com:81/token', true],
    ['http://registry.example.com', 'https://auth.example.com/token', true],
  ]
  for (const [registry, realm, trusted] of cases) {
    test(`${registry} ${trusted ? 'may' : 'may not'} have them sent to ${realm}`, () => {
      assert.equal(siteRealm()(new URL(realm), new URL(registry)), trusted)
    })
  }

  test('that its entry names, over https only', () => {
    const policy = siteRealm(['api.scaleway.com'])
    const registry = new URL('https://rg.fr-par.scw.cloud')
    assert.equal(policy(new URL('https://api.scaleway.com/tokens'), registry), true)
    assert.equal(policy(new URL('http://api.scaleway.com/tokens'), registry), false)
    assert.equal(policy(new URL('https://api.scaleway.com.evil.net/tokens'), registry), false)
  })

  test('that its entry names, on the port that it names', () => {
    const registry = new URL('https://registry.example')
    const cases: [authHost: string, realm: string, trusted: boolean][] = [
      ['auth.test', 'https://auth.test:8443/token', true],
      ['auth.test:8443', 'https://auth.test:8443/token', true],
      ['auth.test:8443', 'https://auth.test/token', false],
      ['auth.test:443', 'https://auth.test/token', true],
      ['[2001:db8::1]:8443', 'https://[2001:db8::1]:8443/token', true],
    ]
    for (const [authHost, realm, trusted] of cases) {
      assert.equal(siteRealm([authHost])(new URL(realm), registry), trusted, `${authHost} ${realm}`)
    }
  })
})
