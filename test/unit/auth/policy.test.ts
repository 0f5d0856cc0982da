// Who is granted what, and the algebra of rights: granting and intersecting lose and add nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  allRights,
  commonRights,
  grantedScopes,
  isAllowed,
  listedRights,
  noRights,
  pullRights,
  type Rights,
} from '../../../src/auth/policy.ts'
import { formatScope, parseScope, type Action, type Scope } from '../../../src/oci/scope.ts'

function scope(text: string): Scope {
  return parseScope(text) ?? assert.fail(text)
}

const cases: [who: string, rights: Rights, asked: string, granted: string][] = [
  ['the user', allRights, 'repository:a/b:pull,push,delete', 'repository:a/b:pull,push,delete'],
  ['the user', allRights, 'repository:a/b:*', 'repository:a/b:*'],
  ['the user', allRights, 'registry:catalog:*', 'registry:catalog:*'],
  ['the user', allRights, 'registry:settings:*', ''],
  ['the user', allRights, 'registry:admin:*', 'registry:admin:*'],
  ['anonymous that may pull', pullRights, 'registry:admin:*', ''],
  ['the user', allRights, 'printer:a:pull', ''],
  ['anonymous that may pull', pullRights, 'repository:a:pull,push', 'repository:a:pull'],
  ['anonymous that may pull', pullRights, 'repository:a:*', 'repository:a:pull'],
  ['anonymous that may pull', pullRights, 'repository:a:push', ''],
  ['anonymous that may pull', pullRights, 'registry:catalog:*', 'registry:catalog:*'],
  ['anonymous that may not', noRights, 'repository:a:pull', ''],
  ['anonymous that may not', noRights, 'registry:catalog:*', ''],
  [
    'a token',
    listedRights([scope('repository:a:pull')]),
    'repository:a:pull,push',
    'repository:a:pull',
  ],
  ['a token', listedRights([scope('repository:a:pull')]), 'repository:b:pull', ''],
  [
    'a token',
    listedRights([scope('repository:a:*')]),
    'repository:a:delete',
    'repository:a:delete',
  ],
]
for (const [who, rights, asked, granted] of cases) {
  test(`of ${asked} ${who} is granted ${granted || 'nothing'}`, () => {
    assert.equal(
      grantedScopes(rights, [scope(asked)])
        .map(formatScope)
        .join(' '),
      granted,
    )
  })
}

test('scopes of one resource become one, actions are not repeated, order is kept', () => {
  const asked = ['repository:b:push', 'repository:a:pull,pull', 'repository:b:pull,push']
  assert.deepEqual(grantedScopes(allRights, asked.map(scope)).map(formatScope), [
    'repository:b:push,pull',
    'repository:a:pull',
  ])
})

test('a scope without an action is never allowed', () => {
  assert.equal(isAllowed(allRights, { type: 'repository', name: 'a', actions: [] }), false)
})

const actions = fc.array(fc.constantFrom<Action>('pull', 'push', 'delete', '*'))
const resources = fc.record({
  type: fc.constantFrom('repository', 'registry', 'other'),
  name: fc.constantFrom('a', 'b', 'catalog'),
  actions,
})
const anyRights = fc.oneof(
  fc.constantFrom(allRights, noRights, pullRights),
  fc.array(resources).map(listedRights),
)

test('what is granted is allowed, and nothing else of what was asked is', () => {
  fc.assert(
    fc.property(anyRights, fc.array(resources), (rights, asked) => {
      const granted = grantedScopes(rights, asked)
      for (const scope of granted) assert.ok(isAllowed(rights, scope))
      for (const { type, name, actions } of asked) {
        for (const action of actions) {
          const one = { type, name, actions: [action] }
          assert.equal(isAllowed(listedRights(granted), one), isAllowed(rights, one))
        }
      }
    }),
  )
})

test('common rights allow exactly what both allow', () => {
  fc.assert(
    fc.property(anyRights, anyRights, resources, (first, second, scope) => {
      assert.equal(
        isAllowed(commonRights(first, second), scope),
        isAllowed(first, scope) && isAllowed(second, scope),
      )
    }),
  )
})
