import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Semaphore } from '../../../src/lib/semaphore.ts'

/** Those whose turn came, by name and in order. */
function start(turnsMax: number) {
  const semaphore = new Semaphore(turnsMax)
  const begun: string[] = []
  const take = async (name: string, signal?: AbortSignal): Promise<Disposable> => {
    const turn = await semaphore.take(signal)
    begun.push(name)
    return turn
  }
  return { semaphore, begun, take }
}

/** All that is to happen without anybody doing something more has happened then. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('a bound on what is done at the same time', () => {
  test('lets in so many, and the others in the order they came', async () => {
    const { semaphore, begun, take } = start(2)
    const [first, second] = [await take('a'), await take('b')]
    const [third, fourth] = [take('c'), take('d')]
    await settled()
    assert.deepEqual([begun.join(''), semaphore.waiting], ['ab', 2])
    second[Symbol.dispose]()
    await settled()
    assert.equal(begun.join(''), 'abc')
    first[Symbol.dispose]()
    await fourth
    assert.deepEqual([begun.join(''), semaphore.waiting], ['abcd', 0])
    for (const turn of await Promise.all([third, fourth])) turn[Symbol.dispose]()
  })

  test('gives one turn for one that ends, however often it is said to have ended', async () => {
    const { begun, take } = start(1)
    const first = await take('a')
    const others = [take('b'), take('c')]
    first[Symbol.dispose]()
    first[Symbol.dispose]()
    await settled()
    assert.equal(begun.join(''), 'ab')
    ;(await others[0])?.[Symbol.dispose]()
    ;(await others[1])?.[Symbol.dispose]()
  })

  test('gives no turn to who gave up waiting', async () => {
    const { semaphore, begun, take } = start(1)
    const first = await take('a')
    const client = new AbortController()
    const left = take('b', client.signal)
    const next = take('c')
    client.abort(new Error('gone'))
    await assert.rejects(left, /gone/)
    assert.equal(semaphore.waiting, 1)
    first[Symbol.dispose]()
    await next
    assert.equal(begun.join(''), 'ac')
    await assert.rejects(take('d', client.signal), /gone/)
  })
})
