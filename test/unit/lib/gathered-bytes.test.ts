import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { GatheredBytes } from '../../../src/lib/gathered-bytes.ts'
import { patternBytes } from '../../support/bytes.ts'

describe('bytes that arrive in pieces', () => {
  const bytes = patternBytes(100_000)
  for (const pieceBytes of [1, 7, 4_096, 65_536, bytes.length]) {
    test(`of ${pieceBytes} are the same in the end`, () => {
      const gathered = new GatheredBytes()
      for (let start = 0; start < bytes.length; start += pieceBytes) {
        gathered.add(bytes.subarray(start, start + pieceBytes))
      }
      assert.equal(gathered.length, bytes.length)
      assert.ok(bytes.equals(gathered.bytes()))
    })
  }

  test('may be none', () => assert.equal(new GatheredBytes().bytes().length, 0))

  test('are copied: a piece may be used again for the next', () => {
    const gathered = new GatheredBytes()
    const piece = Buffer.from('a')
    gathered.add(piece)
    piece.write('b')
    gathered.add(piece)
    assert.equal(Buffer.from(gathered.bytes()).toString(), 'ab')
  })
})
