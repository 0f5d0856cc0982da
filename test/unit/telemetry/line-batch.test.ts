import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { LineBatch } from '../../../src/telemetry/line-batch.ts'

function recorder() {
  const written: string[] = []
  const output = {
    write: (text: string) => void written.push(text),
    flushSync: () => void written.push('flushed'),
  }
  return { lines: new LineBatch(output), written }
}

describe('lines of a log', () => {
  test('of one turn of the event loop are one write, in order', async () => {
    const { lines, written } = recorder()
    lines.write('a\n')
    await Promise.resolve()
    lines.write('b\n')
    assert.deepEqual(written, [])
    await nextTurn()
    assert.deepEqual(written, ['a\nb\n'])
    lines.write('c\n')
    await nextTurn()
    assert.deepEqual(written, ['a\nb\n', 'c\n'])
  })

  test('that wait are written before the process ends, and once', async () => {
    const { lines, written } = recorder()
    lines.write('a\n')
    lines.flushSync()
    await nextTurn()
    assert.deepEqual(written, ['a\n', 'flushed'])
  })
})
