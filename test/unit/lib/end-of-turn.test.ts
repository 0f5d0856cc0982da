import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endOfTurn } from '../../../src/lib/end-of-turn.ts'

test('what waits for the end of a turn goes on together, in order, and the next turn has its own', async () => {
  const done: string[] = []
  const wait = async (name: string): Promise<void> => {
    await endOfTurn()
    done.push(name)
  }
  const first = [wait('a'), wait('b')]
  await Promise.resolve()
  assert.deepEqual(done, [])
  await first[0]
  await Promise.resolve()
  assert.deepEqual(done, ['a', 'b'])
  await wait('c')
  assert.deepEqual(done, ['a', 'b', 'c'])
})
