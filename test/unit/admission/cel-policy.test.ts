// The exported policy's form. That an API server decides by it as the webhook does is shown by
// test/e2e/admission-exported.test.ts.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { listExportGaps, makeCelPolicy } from '../../../src/admission/cel-policy.ts'
import { type PolicyChoice, policySettings } from '../../support/admission.ts'

interface Exported {
  readonly spec: {
    readonly matchConditions: { name: string; expression: string }[]
    readonly variables: { name: string; expression: string }[]
    readonly validations: { expression: string; messageExpression: string }[]
  }
}

function makePolicy(choice: PolicyChoice): Exported['spec'] {
  return (makeCelPolicy(policySettings(choice), 'x')[0] as Exported).spec
}

function rulesOf(choice: PolicyChoice): string {
  return makePolicy(choice).variables.find(({ name }) => name === 'rules')?.expression ?? ''
}

describe('an exported policy', () => {
  test('has rules in the order in which they decide, and the default as the last', () => {
    const choice = { allow: ['a.io/b', 'a.io'], deny: [{ image: '**:x', message: 'say "y"' }] }
    assert.equal(
      rulesOf(choice),
      String.raw`([["deny", "^(?:[^/]+/)*[^/:@]+:x.*$", "Image explicitly denied: say \"y\"", ""], ` +
        String.raw`["allow", "^a\\.io/b[/:@]", "Image explicitly allowed", ""], ` +
        String.raw`["allow", "^a\\.io/", "Image explicitly allowed", ""], ` +
        '["deny", "", "Image is neither explicitly allowed nor denied (using default behavior)", ""]])',
    )
  })
  test('has those of namespaces for these', () => {
    const text = rulesOf({ namespaces: [{ names: ['a-*', 'b'], allow: ['a.io'] }] })
    assert.match(
      text,
      /^request\.namespace\.matches\("\^\(\?:a-\.\*\|b\)\$"\) \? \[\["allow", .* : \(\[\[/,
    )
  })
  test('does not judge who is exempt', () => {
    const { matchConditions } = makePolicy({
      exempt: { users: ['a.b'], serviceAccounts: ['n:*'], groups: ['g'], namespaces: ['k'] },
    })
    assert.deepEqual(
      matchConditions.map(({ name }) => name),
      ['not-being-deleted', 'not-exempt-namespace', 'not-exempt-user', 'not-exempt-group'],
    )
    assert.equal(
      matchConditions[2]?.expression,
      String.raw`!request.userInfo.username.matches("^(?:a\\.b|system:serviceaccount:n:.*)$")`,
    )
  })
  test('builds each of its variables on those before it', () => {
    const { variables, validations } = makePolicy({})
    const known = new Set<string>()
    for (const { name, expression } of variables) {
      for (const [, used = ''] of expression.matchAll(/variables\.(\w+)/g)) {
        assert.ok(known.has(used), `${name} uses ${used}`)
      }
      known.add(name)
    }
    for (const { expression, messageExpression } of validations) {
      for (const [, used = ''] of `${expression} ${messageExpression}`.matchAll(
        /variables\.(\w+)/g,
      )) {
        assert.ok(known.has(used))
      }
    }
  })
  test('acts as the mode says', () => {
    const actions = (['enforce', 'warn', 'audit'] as const).map((mode) => {
      const [, binding] = makeCelPolicy(policySettings({ mode }), 'x')
      return (binding as { spec: { validationActions: string[] } }).spec.validationActions.join()
    })
    assert.deepEqual(actions, ['Deny', 'Warn', 'Audit'])
  })
  test('says what it does otherwise', () => {
    const plain = listExportGaps(policySettings({}))
    assert.match(plain.join(), /only pods are judged.*path of the cache.*IPv6/)
    const more = listExportGaps(
      policySettings({ enforceAtPull: true, namespaces: [{ names: ['a'], mode: 'warn' }] }),
    )
    assert.equal(more.length, plain.length + 2)
  })
})
