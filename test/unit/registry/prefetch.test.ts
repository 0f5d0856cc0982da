// The queue of blobs that are fetched ahead: bounded in what runs and in what waits, and nobody ever
// hears of what fails in it.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Prefetch } from '../../../src/registry/prefetch.ts'
import { until } from '../../support/until.ts'

interface Scene {
  readonly prefetch: Prefetch
  readonly lines: string[]
  /** What was begun, in this order. */
  readonly begun: string[]
  /** Adds a blob whose transfer goes on until it is ended. */
  readonly add: (blob: string) => void
  readonly end: (blob: string, error?: Error) => void
}

function startScene(settings = { transfersMax: 2, waitingMax: 3 }): Scene {
  const lines: string[] = []
  const write =
    (level: string) =>
    ({ blob }: { blob?: string }, message: string) =>
      void lines.push(`${level} ${blob}: ${message}`)
  const log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  }
  const prefetch = new Prefetch({ log }, settings)
  const begun: string[] = []
  const transfers = new Map<string, PromiseWithResolvers<void>>()
  return {
    prefetch,
    lines,
    begun,
    add: (blob) => {
      prefetch.add(blob, async () => {
        const transfer = Promise.withResolvers<void>()
        transfers.set(blob, transfer)
        begun.push(blob)
        await transfer.promise
      })
    },
    end: (blob, error) => {
      const transfer = transfers.get(blob)
      if (error === undefined) transfer?.resolve()
      else transfer?.reject(error)
    },
  }
}

describe('blobs that are fetched ahead', () => {
  test('are begun in their order, so many at a time, each once', async () => {
    const { add, end, begun, lines } = startScene()
    for (const blob of ['a', 'b', 'c', 'c', 'd', 'c']) add(blob)
    assert.deepEqual(begun, ['a', 'b'])
    end('b')
    await until('c is begun', () => begun.length === 3)
    end('a')
    await until('d is begun', () => begun.length === 4)
    assert.deepEqual(begun, ['a', 'b', 'c', 'd'])
    assert.deepEqual(lines, [])
  })

  test('make room for the next one when they fail, which nobody hears of', async () => {
    const { add, end, begun, lines } = startScene()
    for (const blob of ['a', 'b', 'c']) add(blob)
    end('a', new Error('the upstream is gone'))
    await until('c is begun', () => begun.includes('c'))
    assert.deepEqual(lines, ['debug a: not fetched ahead'])
  })

  test('that do not fit into the queue are left out', async () => {
    const { add, end, begun, lines } = startScene()
    for (const blob of ['a', 'b', 'c', 'd', 'e', 'f']) add(blob)
    assert.deepEqual(lines, ['debug f: not fetched ahead: too many blobs wait for that'])
    for (const blob of ['a', 'b']) end(blob)
    await until('d is begun', () => begun.includes('d'))
    add('f')
    for (const blob of ['c', 'd']) end(blob)
    await until('f waits no more', () => begun.length === 6 || begun.includes('e'))
  })

  test('are not begun any more when that is turned off or ended', async () => {
    const { prefetch, add, end, begun } = startScene({ transfersMax: 1, waitingMax: 3 })
    for (const blob of ['a', 'b', 'c']) add(blob)
    prefetch.clear()
    add('d')
    end('a')
    await until('d is begun', () => begun.includes('d'))
    add('e')
    prefetch[Symbol.dispose]()
    add('f')
    end('d')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(begun, ['a', 'd'])
  })
})
