// Token scopes: `<type>:<name>:<actions>`, where a name may hold colons and a type a class.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type Action, formatScope, parseScope } from '../../../src/oci/scope.ts'

const scopes: [text: string, type: string, name: string, actions: Action[]][] = [
  ['repository:library/nginx:pull', 'repository', 'library/nginx', ['pull']],
  ['repository:a:pull,push,delete', 'repository', 'a', ['pull', 'push', 'delete']],
  ['repository:a:*', 'repository', 'a', ['*']],
  ['repository:a:pull,fly,push', 'repository', 'a', ['pull', 'push']],
  ['repository:a:', 'repository', 'a', []],
  ['repository:a:PULL', 'repository', 'a', []],
  ['repository:host:5000/a/b:pull', 'repository', 'host:5000/a/b', ['pull']],
  ['repository(plugin):a:pull', 'repository', 'a', ['pull']],
  ['registry:catalog:*', 'registry', 'catalog', ['*']],
  ['other:x:pull', 'other', 'x', ['pull']],
]

for (const [text, type, name, actions] of scopes) {
  test(`${text} is a scope`, () => {
    assert.deepEqual(parseScope(text), { type, name, actions })
  })
}

for (const text of ['', ':', '::', 'repository', 'repository:a', ':a:pull', 'pull,push']) {
  test(`${JSON.stringify(text)} is no scope`, () => {
    assert.equal(parseScope(text), undefined)
  })
}

test('a written scope is read back as it was', () => {
  const scope = fc.record(
    {
      type: fc.constantFrom('repository', 'registry'),
      name: fc.stringMatching(/^[a-z0-9/:.-]{1,20}$/),
      actions: fc.uniqueArray(fc.constantFrom<Action>('pull', 'push', 'delete', '*')),
    },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(scope, (scope) => assert.deepEqual(parseScope(formatScope(scope)), scope)))
})

test('no text makes the parser throw, and only known actions come out of it', () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('a', ':', ',', '(', ')') }))
  fc.assert(
    fc.property(text, (text) => {
      const known = ['pull', 'push', 'delete', '*']
      assert.ok(parseScope(text)?.actions.every((action) => known.includes(action)) ?? true)
    }),
  )
})
