import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { findReviewHead } from '../../../src/admission/partial-review.ts'
import { podReview } from '../../support/admission.ts'

const uid = 'b9c6b0f5-0000-4000-8000-000000000000'
const whole = JSON.stringify(podReview(['a.io/b'], { uid, apiVersion: 'admission.k8s.io/v1beta1' }))

describe('the uid of a review that is not complete', () => {
  test('is found when its beginning is there, wherever it is cut', () => {
    const start = whole.indexOf(uid) + uid.length + 1
    for (let end = start; end <= whole.length; end++) {
      const head = findReviewHead(whole.slice(0, end))
      assert.deepEqual(head, { uid, apiVersion: 'admission.k8s.io/v1beta1' })
    }
  })
  test('is found behind other fields', () => {
    const text =
      '{"request":{"kind":{"kind":"Pod"},"x":[1,{"uid":"no"},"y"],"name":"a\\"b","uid":"yes"'
    assert.equal(findReviewHead(text).uid, 'yes')
  })

  const none: [what: string, text: string][] = [
    ["the user's", '{"request":{"userInfo":{"uid":"no"}}}'],
    ["the object's", '{"request":{"object":{"metadata":{"uid":"no"}}}}'],
    ['one outside of the request', '{"uid":"no","request":{}}'],
    ['one of another object', '{"response":{"uid":"no"}}'],
    ['one in a list', '[{"request":{"uid":"no"}}]'],
    ['one in a list of the request', '{"request":[{"uid":"no"}]}'],
    ['a key with a dot', '{"request.uid":"no"}'],
    ['text that looks so', '{"request":{"name":"\\"uid\\":\\"no\\""}}'],
    ['one that is not complete', '{"request":{"uid":"no'],
    ['one that is too long', `{"request":{"uid":"${'n'.repeat(300)}"}}`],
    [
      'one behind what is nested too deeply',
      `{"a":${'['.repeat(200)}${']'.repeat(200)},"request":{"uid":"no"}}`,
    ],
  ]
  for (const [what, text] of none) {
    test(`is not ${what}`, () => assert.equal(findReviewHead(text).uid, ''))
  }

  test('is what JSON.parse finds, whatever comes before it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 3 }), fc.string(), (before, found) => {
        fc.pre(found.length <= 256)
        const text = `{"before":${before},"request":{"before":${before},"uid":${JSON.stringify(found)}`
        assert.equal(findReviewHead(text).uid, found)
      }),
      { numRuns: 1_000 },
    )
  })
  test('never takes long to find', () => {
    const started = performance.now()
    for (const text of [
      '\\'.repeat(4e6),
      '"\\"'.repeat(2e6),
      '{"a":'.repeat(1e6),
      '{'.repeat(4e6),
    ]) {
      findReviewHead(`{"x":"${text}`)
      findReviewHead(`{"x":${text}`)
    }
    assert.ok(performance.now() - started < 5_000)
  })
})
