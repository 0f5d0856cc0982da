// Sharing one run of work among its callers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SingleFlight } from '../../../src/lib/single-flight.ts'

test('callers of one key share one run, other keys run on their own', async () => {
  const flights = new SingleFlight<string, string>()
  const gate = Promise.withResolvers<void>()
  const runs: string[] = []
  const run = (key: string): Promise<string> =>
    flights.run(key, async () => {
      runs.push(key)
      await gate.promise
      return `${key} done`
    })
  const all = [run('a'), run('a'), run('b'), run('a')]
  assert.deepEqual(runs, ['a', 'b'])
  assert.equal(flights.size, 2)
  gate.resolve()
  assert.deepEqual(await Promise.all(all), ['a done', 'a done', 'b done', 'a done'])
  assert.equal(flights.size, 0)
})

test('a failure reaches every caller and is not remembered', async () => {
  const flights = new SingleFlight<string, number>()
  const fail = (): Promise<number> => flights.run('a', () => Promise.reject(new Error('no')))
  const outcomes = await Promise.allSettled([fail(), fail()])
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ['rejected', 'rejected'],
  )
  assert.equal(await flights.run('a', () => Promise.resolve(1)), 1)
})

test('work that throws before it returns a promise is a rejection, not a throw', async () => {
  const flights = new SingleFlight<string, number>()
  const outcome = flights.run('a', () => {
    throw new Error('at once')
  })
  await assert.rejects(outcome, /at once/)
  assert.equal(flights.size, 0)
})
