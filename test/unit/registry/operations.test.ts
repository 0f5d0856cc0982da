// Operations: one of a kind at a time, events in order with the report or the error at the end, and
// an end that comes when nobody watches any more.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OciError } from '../../../src/oci/errors.ts'
import type { OperationEvent, OperationMonitor } from '../../../src/registry/operation.ts'
import { Operations } from '../../../src/registry/operations.ts'
import { silentLog } from '../../support/request-context.ts'

function makeOperations(settings: { progressSecondsMax?: number } = {}): Operations {
  return new Operations(
    { log: silentLog },
    { itemsWaitingMax: 2, progressSecondsMin: 0, progressSecondsMax: 60, ...settings },
  )
}

function all(events: AsyncIterable<OperationEvent>): Promise<OperationEvent[]> {
  return Array.fromAsync(events)
}

/** Work that lasts until it is told to end, or is ended. */
function lasting() {
  const { promise, resolve } = Promise.withResolvers<void>()
  const work = async ({ signal, progress }: OperationMonitor): Promise<object> => {
    progress({ step: 'waiting', done: 1 })
    signal.addEventListener('abort', () => resolve())
    if (!signal.aborted) await promise
    signal.throwIfAborted()
    return { done: true }
  }
  return { work, end: resolve }
}

describe('an operation', () => {
  test('tells its name, every item in order, and its report', async () => {
    await using operation = makeOperations().start('gc', async ({ tell }) => {
      for (let number = 1; number <= 5; number += 1) await tell({ number })
      return { total: 5 }
    })
    assert.deepEqual(await all(operation.events()), [
      { operation: 'gc' },
      ...[1, 2, 3, 4, 5].map((number) => ({ item: { number } })),
      { report: { total: 5 } },
    ])
  })

  test('waits for a reader who does not keep up', async () => {
    let told = 0
    const work = async ({ tell }: OperationMonitor): Promise<object> => {
      for (; told < 10; told += 1) await tell({ told })
      return {}
    }
    await using operation = makeOperations().start('gc', work)
    const events = operation.events()
    for (let read = 0; read < 4; read += 1) await events.next()
    assert.ok(told <= 5, `${told} were told`)
    assert.equal((await all(events)).length, 8)
  })

  test('tells an OciError as it is, and of another one nothing but that', async () => {
    const operations = makeOperations()
    const lastOf = async (error: Error): Promise<unknown> => {
      await using operation = operations.start('gc', async () => {
        throw error
      })
      return (await all(operation.events())).at(-1)
    }
    assert.deepEqual(await lastOf(new OciError('STORAGE_FULL', { message: 'no room' })), {
      error: { code: 'STORAGE_FULL', message: 'no room' },
    })
    assert.deepEqual(await lastOf(new Error('secret')), {
      error: { code: 'UNKNOWN', message: 'an error inside the registry; its log tells more' },
    })
  })

  test('says again and again how far it is, so that no connection falls silent', async () => {
    const { work, end } = lasting()
    await using operation = makeOperations({ progressSecondsMax: 0.01 }).start('gc', work)
    const events = operation.events()
    await events.next()
    for (let times = 0; times < 3; times += 1) {
      assert.deepEqual((await events.next()).value, { progress: { step: 'waiting', done: 1 } })
    }
    end()
    assert.deepEqual((await all(events)).at(-1), { report: { done: true } })
  })

  test('ends when it is disposed of, also while it waits for a reader', async () => {
    const operations = makeOperations()
    for (const work of [
      lasting().work,
      async ({ tell }: OperationMonitor): Promise<object> => {
        for (;;) await tell({})
      },
    ]) {
      const operation = operations.start('gc', work)
      const events = operation.events()
      await events.next()
      await operation[Symbol.asyncDispose]()
    }
  })

  test('ends when its client goes away', async () => {
    const client = new AbortController()
    const operation = makeOperations().start('gc', lasting().work, client.signal)
    client.abort()
    await operation.ended
  })
})

describe('of one kind', () => {
  test('there is one at a time: a second one is told when it began and how far it is', async () => {
    const operations = makeOperations()
    const { work, end } = lasting()
    const first = operations.start('gc', work)
    await first.events().next()
    await Promise.resolve()
    assert.throws(
      () => operations.start('gc', work),
      (error: OciError) => {
        assert.deepEqual([error.code, error.status], ['UNAVAILABLE', 409])
        assert.match(error.message, /another gc is running: it began at \S+Z and is at waiting/)
        return true
      },
    )
    end()
    await first.ended
    await operations.start('gc', async () => ({}))[Symbol.asyncDispose]()
  })

  test('none begins, and none goes on, when the program stops', async () => {
    const operations = makeOperations()
    const running = operations.start('gc', lasting().work)
    operations.stop()
    await running.ended
    assert.throws(() => operations.start('gc', lasting().work), {
      code: 'UNAVAILABLE',
      status: 503,
    })
  })
})
