import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SharedFlight } from '../../../src/upstream/shared-flight.ts'

const never = new AbortController().signal

function setUp() {
  const flights = new SharedFlight<string>()
  const work = Promise.withResolvers<string>()
  const started: AbortSignal[] = []
  const start = async (signal: AbortSignal) => {
    started.push(signal)
    return await work.promise
  }
  return { flights, work, started, start }
}

describe('shared work', () => {
  test('is done once for all who wait for it, and again for who comes later', async () => {
    const { flights, work, started, start } = setUp()
    const waiting = [flights.join('k', never, start), flights.join('k', never, start)]
    work.resolve('done')
    assert.deepEqual(await Promise.all(waiting), ['done', 'done'])
    await flights.join('k', never, start)
    assert.equal(started.length, 2)
  })

  test('is done apart for other keys', async () => {
    const { flights, work, started, start } = setUp()
    work.resolve('done')
    await Promise.all([flights.join('a', never, start), flights.join('b', never, start)])
    assert.equal(started.length, 2)
  })

  test('fails for all who wait for it, and is forgotten', async () => {
    const { flights, work, started, start } = setUp()
    const waiting = [flights.join('k', never, start), flights.join('k', never, start)]
    work.reject(new Error('broken'))
    for (const result of await Promise.allSettled(waiting)) assert.equal(result.status, 'rejected')
    await assert.rejects(flights.join('k', never, start))
    assert.equal(started.length, 2)
  })

  test('goes on when one of several goes away', async () => {
    const { flights, work, started, start } = setUp()
    const leaving = new AbortController()
    const left = flights.join('k', leaving.signal, start)
    const stayed = flights.join('k', never, start)
    leaving.abort(new Error('gone'))
    await assert.rejects(left, /gone/)
    assert.equal(started[0]?.aborted, false)
    work.resolve('done')
    assert.equal(await stayed, 'done')
  })

  test('is aborted when the last one goes away, and begun anew for the next', async () => {
    const { flights, started, start } = setUp()
    const leaving = new AbortController()
    const left = flights.join('k', leaving.signal, start)
    leaving.abort(new Error('gone'))
    await assert.rejects(left, /gone/)
    assert.equal(started[0]?.aborted, true)
    void flights.join('k', never, start)
    assert.equal(started.length, 2)
  })

  test('is not begun for who has gone already', async () => {
    const { flights, started, start } = setUp()
    await assert.rejects(flights.join('k', AbortSignal.abort(new Error('gone')), start), /gone/)
    assert.equal(started.length, 0)
  })
})
