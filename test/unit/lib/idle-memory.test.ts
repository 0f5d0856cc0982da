import assert from 'node:assert/strict'
import { before, mock, test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { IdleMemory } from '../../../src/lib/idle-memory.ts'
import { until } from '../../support/until.ts'

const settings = { intervalMs: 1_000, utilizationMax: 0.5, cpuMsMin: 20 }

// Before its first turn the event loop has no utilization.
before(() => setImmediate())

/** Uses the processor, and with it the event loop. */
function work(milliseconds: number): void {
  const { user } = process.cpuUsage()
  while (process.cpuUsage().user - user < milliseconds * 1_000);
}

function watch(t: TestContext) {
  const collect = mock.fn()
  const idle = new IdleMemory(collect, settings)
  t.after(() => idle[Symbol.dispose]())
  return { idle, collections: () => collect.mock.callCount() }
}

function look(): void {
  mock.timers.tick(settings.intervalMs)
}

async function collected(watched: { collections: () => number }, times: number): Promise<void> {
  await until('garbage is collected', () => {
    look()
    return watched.collections() === times
  })
}

test('memory of an idle process', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.after(() => mock.timers.reset())

  await t.test('garbage is collected when nothing is done any more', async (t) => {
    const watched = watch(t)
    work(50)
    look()
    assert.equal(watched.collections(), 0, 'while there is something to do')
    await collected(watched, 1)
  })

  await t.test('it is not collected again before something was done', async (t) => {
    const watched = watch(t)
    work(50)
    await collected(watched, 1)
    await collected(watch(t), 1)
    assert.equal(watched.collections(), 1)
    work(50)
    await collected(watched, 2)
  })

  await t.test('nobody looks any more after the end', async (t) => {
    const ended = watch(t)
    const other = watch(t)
    ended.idle[Symbol.dispose]()
    work(50)
    await collected(other, 1)
    assert.equal(ended.collections(), 0)
  })
})
