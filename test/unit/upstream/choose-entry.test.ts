import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { chooseEntry, mayBeUnlisted } from '../../../src/upstream/choose-entry.ts'
import { entryOf } from '../../support/fake-upstream-settings.ts'

const user = (name: string) => ({ name, password: { reveal: () => 'secret' } })
const registries = [
  entryOf('gitlab.example', { pathPrefix: 'group', user: user('group') }),
  entryOf('gitlab.example', { pathPrefix: 'group/sub', user: user('sub') }),
  entryOf('gitlab.example', { user: user('all') }),
  entryOf('quay.example', { pathPrefix: 'team', user: user('team'), insecure: true }),
]

function choose(host: string, repository: string, allowUnlisted: boolean | string[] = true) {
  const target = { host: parseRegistryHost(host), repository: parseRepositoryName(repository) }
  return chooseEntry({ offline: false, allowUnlisted, registries }, target)
}

describe('the entry of a repository', () => {
  const cases: [host: string, repository: string, name: string | undefined][] = [
    ['gitlab.example', 'group/app', 'group'],
    ['gitlab.example', 'group', 'group'],
    ['gitlab.example', 'group/sub/app', 'sub'],
    ['gitlab.example', 'group/sub', 'sub'],
    ['gitlab.example', 'group/subordinate', 'group'],
    ['gitlab.example', 'groups/app', 'all'],
    ['gitlab.example', 'other/group/app', 'all'],
    ['gitlab.example:5000', 'group/app', undefined],
    ['quay.example', 'team/app', 'team'],
    ['quay.example', 'teams/app', undefined],
    ['elsewhere.example', 'group/app', undefined],
  ]
  for (const [host, repository, name] of cases) {
    test(`${host}/${repository} is asked for as ${name ?? 'nobody'}`, () => {
      assert.equal(choose(host, repository)?.entry.user?.name, name)
    })
  }

  test('a host whose entries are for other paths is reached as they say', () => {
    const chosen = choose('quay.example', 'other/app', false)
    assert.deepEqual(chosen, { entry: entryOf('quay.example', { insecure: true }), listed: true })
  })

  test('a host without any is not listed', () => {
    const host = 'elsewhere.example'
    assert.deepEqual(choose(host, 'app'), { entry: entryOf(host), listed: false })
    assert.equal(choose(host, 'app', false), undefined)
  })
})

describe('a host without an entry may be asked', () => {
  const cases: [pattern: string, host: string, allowed: boolean][] = [
    ['ghcr.io', 'ghcr.io', true],
    ['GHCR.io', 'ghcr.io', true],
    ['index.docker.io', 'docker.io', true],
    ['ghcr.io', 'ghcr.io:8443', false],
    ['ghcr.io', 'evil-ghcr.io', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'evilexample.com', false],
    ['*.example.com', 'a.example.com.evil.net', false],
    ['*.example.com:5000', 'a.example.com:5000', true],
    ['*.*', 'a.b', false],
    ['*', 'a.example.com', true],
    ['not a host', 'a.example.com', false],
  ]
  for (const [pattern, host, allowed] of cases) {
    test(`${pattern} ${allowed ? 'allows' : 'does not allow'} ${host}`, () => {
      assert.equal(mayBeUnlisted([pattern], parseRegistryHost(host)), allowed)
    })
  }
})
