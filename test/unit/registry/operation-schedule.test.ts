// An operation that comes by itself has nobody who listens: it must not wait for that.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OperationSchedule } from '../../../src/registry/operation-schedule.ts'
import { Operations } from '../../../src/registry/operations.ts'
import { silentLog } from '../../support/request-context.ts'

test('one that has more to tell than anybody keeps comes to its end, and comes again', async () => {
  const settings = { itemsWaitingMax: 10, progressSecondsMin: 0, progressSecondsMax: 60 }
  const operations = new Operations({ log: silentLog }, settings)
  const { promise, resolve } = Promise.withResolvers<void>()
  let passes = 0
  await using schedule = new OperationSchedule(
    {
      operations,
      kind: 'scrub',
      work: async ({ tell }) => {
        for (let number = 0; number < 25; number += 1) await tell({ number })
        passes += 1
        if (passes === 2) resolve()
        return {}
      },
    },
    { isEnabled: true, intervalSeconds: 0.001 },
  )
  await promise
  operations.stop()
  assert.ok(schedule)
  assert.ok(passes >= 2)
})
