import assert from 'node:assert/strict'
import { before, mock, test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { collectWhenIdle } from '../../../src/lib/collect-when-idle.ts'
import { until } from '../../support/until.ts'

const settings = { intervalMs: 1_000, utilizationMax: 0.5 }

// Before its first turn the event loop has no utilization.
before(() => setImmediate())

/** Uses the processor, and with it the event loop. */
function work(milliseconds: number): void {
  const { user } = process.cpuUsage()
  while (process.cpuUsage().user - user < milliseconds * 1_000);
}

function watch(t: TestContext) {
  const collect = mock.fn()
  const watching = collectWhenIdle(collect, settings)
  t.after(() => watching[Symbol.dispose]())
  return { watching, collections: () => collect.mock.callCount() }
}

function look(): void {
  mock.timers.tick(settings.intervalMs)
}

async function collected(watched: { collections: () => number }): Promise<void> {
  await until('garbage is collected', () => {
    look()
    return watched.collections() > 0
  })
}

test('garbage', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.after(() => mock.timers.reset())

  await t.test('is collected when nothing is done any more', async (t) => {
    const watched = watch(t)
    work(50)
    look()
    assert.equal(watched.collections(), 0, 'while there is something to do')
    await collected(watched)
  })

  await t.test('is collected once', async (t) => {
    const watched = watch(t)
    await collected(watched)
    await collected(watch(t))
    assert.equal(watched.collections(), 1)
  })

  await t.test('is not collected after the end', async (t) => {
    const ended = watch(t)
    ended.watching[Symbol.dispose]()
    await collected(watch(t))
    assert.equal(ended.collections(), 0)
  })
})
