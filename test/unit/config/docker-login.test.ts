import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findDockerLogin } from '../../../src/config/docker-login.ts'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'

const encoded = (pair: string) => Buffer.from(pair).toString('base64')
const ann = { auth: encoded('ann:s3cret') }

function find(config: unknown, host: string, pathPrefix = '') {
  return findDockerLogin(JSON.stringify(config), parseRegistryHost(host), pathPrefix)
}

describe('a login in a docker config', () => {
  const cases: [what: string, key: string, entry: object, host: string][] = [
    ['of a host', 'ghcr.io', ann, 'ghcr.io'],
    ['of a host with a port', 'Localhost:5000', ann, 'localhost:5000'],
    ['of a host in a URL', 'https://ghcr.io/v2/', ann, 'ghcr.io'],
    ['of Docker Hub as docker writes it', 'https://index.docker.io/v1/', ann, 'docker.io'],
    ['of Docker Hub by another name', 'registry-1.docker.io', ann, 'index.docker.io'],
    ['in two keys', 'a', { username: 'ann', password: 's3cret' }, 'a'],
    ['in both forms', 'a', { username: 'bob', password: 'old', ...ann }, 'a'],
    ['padded with NULs', 'a', { auth: encoded('ann:s3cret\0\0') }, 'a'],
  ]
  for (const [what, key, entry, host] of cases) {
    test(`is found ${what}`, () => {
      const config = { auths: { [key]: entry, other: { auth: encoded('x:y') } } }
      assert.deepEqual(find(config, host), { name: 'ann', password: 's3cret' })
    })
  }
  test('keeps colons of the password', () => {
    const config = { auths: { a: { auth: encoded('ann:a:b') } } }
    assert.deepEqual(find(config, 'a'), { name: 'ann', password: 'a:b' })
  })
  test('of the longest path is taken, on whole segments', () => {
    const names = { a: 'all', 'a/team': 'team', 'a/team/x': 'x' }
    const auths = Object.fromEntries(
      Object.entries(names).map(([key, name]) => [key, { auth: encoded(`${name}:p`) }]),
    )
    const nameFor = (prefix: string) => {
      const found = find({ auths }, 'a', prefix)
      return 'name' in found ? found.name : found.problem
    }
    assert.deepEqual(['', 'te', 'team', 'team/x/y', 'team/xy'].map(nameFor), [
      'all',
      'all',
      'team',
      'x',
      'team',
    ])
  })
})

describe('there is no login', () => {
  const unusable = 'has an entry for a without a usable name and password'
  const cases: [what: string, config: unknown, problem: string][] = [
    ['in a list', [], "is not the JSON of a docker client's config"],
    ['in an empty object', {}, 'has no login for a in its "auths"'],
    ['where auths is none', { auths: [] }, 'has no login for a in its "auths"'],
    ['for another host', { auths: { b: ann } }, 'has no login for a in its "auths"'],
    [
      'where a helper keeps all of them',
      { auths: { a: {} }, credsStore: 'desktop' },
      'has no login for a in its "auths"; it leaves logins to a credential helper, which cannot be used',
    ],
    [
      'where a helper keeps that one',
      { credHelpers: { a: 'ecr-login' } },
      'has no login for a in its "auths"; it leaves logins to a credential helper, which cannot be used',
    ],
    ['without a password', { auths: { a: { auth: encoded('ann:') } } }, unusable],
    ['without a colon', { auths: { a: { auth: encoded('ann') } } }, unusable],
    ['with half of the keys', { auths: { a: { username: 'ann' } } }, unusable],
    ['with a colon in the name', { auths: { a: { username: 'a:b', password: 'p' } } }, unusable],
    [
      'but an identity token',
      { auths: { a: { auth: encoded('0000:'), identitytoken: 'eyJ' } } },
      'has an identity token for a, not a name and password',
    ],
  ]
  for (const [what, config, problem] of cases) {
    test(what, () => assert.deepEqual(find(config, 'a'), { problem }))
  }
  test('in what is no JSON, of which nothing is repeated', () => {
    assert.deepEqual(findDockerLogin('{"hunter2', parseRegistryHost('a'), ''), {
      problem: "is not the JSON of a docker client's config",
    })
  })
})
