// Names of other registries' repositories: every spelling of one means it, what is written can be
// pulled by, and no two registries share a name.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { OciError } from '../../../src/oci/errors.ts'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import {
  formatProxiedName,
  isProxiedName,
  parseProxiedName,
} from '../../../src/oci/proxied-name.ts'
import { isRepositoryName, parseRepositoryName } from '../../../src/oci/repository-name.ts'

const app = parseRepositoryName('team/app')

function invalidName(error: unknown): boolean {
  return error instanceof OciError && error.code === 'NAME_INVALID'
}

describe('a name of a repository of another registry', () => {
  const spellings: [name: string, written: string][] = [
    ['f/docker.io/nginx', 'f/docker.io/library/nginx'],
    ['f/Index.Docker.io/library/nginx', 'f/docker.io/library/nginx'],
    ['f/registry.example/a/b/c', 'f/registry.example/a/b/c'],
    ['f/registry.example:5000/app', 'f/registry.example_5000/app'],
    ['f/registry.example_5000/app', 'f/registry.example_5000/app'],
    ['f/registry.example_5000_/app', 'f/registry.example_5000/app'],
    ['f/a_b:1/app', 'f/a_b_1/app'],
    ['f/[::1]:5000/app', 'f/[::1]_5000/app'],
    ['f/[::1]/app', 'f/[::1]/app'],
  ]
  for (const [name, written] of spellings) {
    test(`${name} is ${written}`, () => {
      assert.equal(isProxiedName(name), true)
      const parsed = parseProxiedName(name)
      assert.equal(formatProxiedName(parsed), written)
      assert.deepEqual(parseProxiedName(written), parsed)
    })
  }

  for (const name of ['f', 'f/', 'f/docker.io', 'f//app', 'f/a..b/app', 'f/a:0/app', 'f/a/APP']) {
    test(`${name} is none`, () => assert.throws(() => parseProxiedName(name), invalidName))
  }

  test('is none that merely begins with the letter', () => {
    assert.equal(isProxiedName('foo/bar'), false)
    assert.equal(isProxiedName('a/f/docker.io/nginx'), false)
  })

  test('is refused to a host that reads as another one with a port', () => {
    const host = parseRegistryHost('a_5000')
    assert.throws(() => formatProxiedName({ host, repository: app }), invalidName)
  })
})

test('what is written is valid to every client, and means the registry that it was written for', () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,3}(?:-[a-z0-9]{1,3})?$/)
  const port = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined })
  const hosts = fc.tuple(fc.array(label, { minLength: 1, maxLength: 3 }), port)
  fc.assert(
    fc.property(hosts, ([labels, number]) => {
      // Not an address: the last label is a letter.
      const name = [...labels, 'x'].join('.')
      const host = parseRegistryHost(number === undefined ? name : `${name}:${number}`)
      const written = formatProxiedName({ host, repository: app })
      assert.equal(isRepositoryName(written), true)
      assert.deepEqual(parseProxiedName(written), { host, repository: app })
    }),
  )
})
