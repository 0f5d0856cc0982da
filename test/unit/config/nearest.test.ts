import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { editDistance, nearest } from '../../../src/config/nearest.ts'

const distances: [a: string, b: string, distance: number][] = [
  ['', '', 0],
  ['', 'abc', 3],
  ['host', 'host', 0],
  ['hots', 'host', 1],
  ['hst', 'host', 1],
  ['hoost', 'host', 1],
  ['hist', 'host', 1],
  ['kitten', 'sitting', 3],
]

for (const [a, b, distance] of distances) {
  test(`from "${a}" to "${b}" it is ${distance} slips, either way`, () => {
    assert.equal(editDistance(a, b), distance)
    assert.equal(editDistance(b, a), distance)
  })
}

test('the distance is never more than the longer word, and none only between equal words', () => {
  const word = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b)
      assert.ok(distance <= Math.max(a.length, b.length))
      assert.equal(distance === 0, a === b)
    }),
  )
})

test('the nearest word is found whatever its case', () => {
  assert.equal(nearest('DENY', ['Allow', 'Deny']), 'Deny')
})

test('a word that is like none of them has no nearest', () => {
  assert.equal(nearest('banana', ['host', 'insecure']), undefined)
})
