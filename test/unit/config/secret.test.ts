import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Secret } from '../../../src/config/secret.ts'

const secret = new Secret('hunter2')

test('a secret gives its value only when asked to reveal it', () => {
  assert.equal(secret.reveal(), 'hunter2')
})

const ways: [how: string, text: string][] = [
  ['as text', String(secret)],
  ['as JSON', JSON.stringify({ secret })],
  ['by inspection', inspect({ secret }, { showHidden: true, depth: 9 })],
  [
    'by inspection without customs',
    inspect({ secret }, { customInspect: false, showHidden: true }),
  ],
  ['by its properties', JSON.stringify(Object.getOwnPropertyDescriptors(secret))],
]

for (const [how, text] of ways) {
  test(`a secret does not show ${how}`, () => assert.doesNotMatch(text, /hunter2/))
}
