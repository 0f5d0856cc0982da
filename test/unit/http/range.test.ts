// The Range header of downloads (RFC 9110, section 14) and the Content-Range of chunks.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseContentRange, parseRange } from '../../../src/http/range.ts'

type Expected = 'all' | 'unsatisfiable' | [start: number, endInclusive: number][]

function outcome(header: string | undefined, size: number, rangesMax = 4): Expected {
  const request = parseRange(header, size, rangesMax)
  if (request.kind !== 'ranges') return request.kind
  return request.ranges.map(({ start, endInclusive }) => [start, endInclusive])
}

const ofTenBytes: [header: string | undefined, expected: Expected][] = [
  [undefined, 'all'],
  ['', 'all'],
  ['bytes=0-0', [[0, 0]]],
  ['bytes=0-9', [[0, 9]]],
  ['bytes=2-4', [[2, 4]]],
  ['bytes=9-', [[9, 9]]],
  ['bytes=0-', [[0, 9]]],
  ['bytes=5-99', [[5, 9]]],
  ['bytes=-1', [[9, 9]]],
  ['bytes=-10', [[0, 9]]],
  ['bytes=-99', [[0, 9]]],
  ['Bytes=0-1', [[0, 1]]],
  [
    'bytes=0-1,4-5',
    [
      [0, 1],
      [4, 5],
    ],
  ],
  [
    'bytes=0-1 , 4-5',
    [
      [0, 1],
      [4, 5],
    ],
  ],
  [
    'bytes=4-5,0-1',
    [
      [4, 5],
      [0, 1],
    ],
  ],
  // A range outside of the content is left out as long as another one is inside.
  ['bytes=0-1,50-60', [[0, 1]]],
  ['bytes=50-60,-2', [[8, 9]]],
  // All are outside.
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=10-20', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=4-2', 'unsatisfiable'],
  ['bytes=10-,11-', 'unsatisfiable'],
  ['bytes=99999999999999999999999-', 'unsatisfiable'],
  // Not well-formed, or of another unit: as if it was not there.
  ['bytes', 'all'],
  ['bytes=', 'all'],
  ['bytes=-', 'all'],
  ['bytes=a-b', 'all'],
  ['bytes=1', 'all'],
  ['bytes=1-2-3', 'all'],
  ['bytes=0x1-2', 'all'],
  ['bytes=+1-2', 'all'],
  ['bytes=1.0-2', 'all'],
  ['bytes=0-1,x', 'all'],
  ['bytes=0-1,', 'all'],
  ['bytes 0-1', 'all'],
  ['lines=0-1', 'all'],
  // A way to make a server send much for little.
  ['bytes=0-,0-', 'all'],
  ['bytes=0-9,0-0', 'all'],
  [
    'bytes=0-0,1-1,2-2,3-3',
    [
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ],
  ],
  ['bytes=0-0,1-1,2-2,3-3,4-4', 'all'],
]

for (const [header, expected] of ofTenBytes) {
  test(`of ten bytes, ${header ?? 'no header'}: ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(outcome(header, 10), expected)
  })
}

for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1', 'bytes=-0']) {
  test(`of nothing, ${header} cannot be satisfied`, () => {
    assert.equal(outcome(header, 0), 'unsatisfiable')
  })
}

test('whatever is asked, ranges lie inside the content and are no more than it together', () => {
  const number = fc.oneof(fc.constant(''), fc.nat(30).map(String), fc.constant('9'.repeat(30)))
  const spec = fc.tuple(number, number).map(([first, last]) => `${first}-${last}`)
  const header = fc.oneof(
    fc.string(),
    fc.array(spec, { maxLength: 6 }).map((specs) => `bytes=${specs.join(',')}`),
  )
  fc.assert(
    fc.property(header, fc.nat(30), (header, size) => {
      const expected = outcome(header, size)
      if (typeof expected === 'string') return
      assert.ok(expected.length >= 1 && expected.length <= 4)
      let sum = 0
      for (const [start, endInclusive] of expected) {
        assert.ok(start >= 0 && start <= endInclusive && endInclusive < size)
        sum += endInclusive - start + 1
      }
      assert.ok(sum <= size)
    }),
    { numRuns: 1_000 },
  )
})

const contentRanges: [header: string, expected: [number, number] | undefined][] = [
  ['0-9', [0, 9]],
  ['5-5', [5, 5]],
  ['bytes 0-9', [0, 9]],
  ['bytes=0-9', [0, 9]],
  ['bytes 0-9/10', [0, 9]],
  ['bytes 0-9/*', [0, 9]],
  ['0-9/10', [0, 9]],
  ['  0-9  ', [0, 9]],
  ['100000000000-200000000000', [100_000_000_000, 200_000_000_000]],
  ['', undefined],
  ['-', undefined],
  ['0-', undefined],
  ['-9', undefined],
  ['9-0', undefined],
  ['a-b', undefined],
  ['0 - 9', undefined],
  ['0-9,10-19', undefined],
  ['bytes */10', undefined],
  ['0-9999999999999999', undefined],
  ['lines 0-9', undefined],
]

for (const [header, expected] of contentRanges) {
  test(`Content-Range ${JSON.stringify(header)}: ${JSON.stringify(expected) ?? 'says nothing'}`, () => {
    const range = parseContentRange(header)
    assert.deepEqual(range && [range.start, range.endInclusive], expected)
  })
}
