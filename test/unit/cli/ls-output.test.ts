import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { inBatches, mapOrdered } from '../../../src/cli/concurrency.ts'
import { formatBytes, formatCount, shortDigest } from '../../../src/cli/format.ts'
import { Progress } from '../../../src/cli/progress.ts'
import { Table } from '../../../src/cli/table.ts'
import { FakeTerminal } from '../../support/fake-terminal.ts'

describe('sizes are written as docker writes them', () => {
  const cases: [bytes: number, text: string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1 kB'],
    [1_234, '1.23 kB'],
    [999_499, '999 kB'],
    [999_500, '1 MB'],
    [31_200_000, '31.2 MB'],
    [123_456_789, '123 MB'],
    [5_368_709_120, '5.37 GB'],
    [9e18, '9000 PB'],
  ]
  for (const [bytes, text] of cases) {
    test(`${bytes} is ${text}`, () => assert.equal(formatBytes(bytes), text))
  }
})

test('counts and digests are written for people', () => {
  assert.equal(formatCount(1, 'repository'), '1 repository')
  assert.equal(formatCount(0, 'repository'), '0 repositories')
  assert.equal(formatCount(2, 'tag'), '2 tags')
  assert.equal(shortDigest('sha256:0123456789abcdef'), 'sha256:0123456789ab')
})

describe('a table', () => {
  function setUp() {
    const chunks: string[] = []
    const table = new Table({
      titles: ['NAME', 'SIZE'],
      numeric: ['SIZE'],
      write: (text) => void chunks.push(text),
      styleTitles: (text) => text,
    })
    return { table, chunks }
  }

  test('aligns texts at their start and numbers at their end', () => {
    const { table, chunks } = setUp()
    table.add(['a', '1 MB'])
    table.add(['longer', '10.5 MB'])
    table.flush()
    assert.equal(chunks.join(''), 'NAME       SIZE\na          1 MB\nlonger  10.5 MB\n')
  })

  test('of no rows is nothing at all', () => {
    const { table, chunks } = setUp()
    table.flush()
    assert.deepEqual(chunks, [])
  })

  test('of many rows is written as it grows, its titles once', () => {
    const { table, chunks } = setUp()
    for (let i = 0; i < 1_000; i++) table.add([`name-${i}`, String(i)])
    assert.ok(chunks.length >= 3)
    table.flush()
    const lines = chunks.join('').split('\n')
    assert.equal(lines.length, 1_002)
    assert.equal(lines.filter((line) => line.startsWith('NAME')).length, 1)
  })

  test('keeps control sequences of others from the terminal', () => {
    const { table, chunks } = setUp()
    table.add(['\u001b[2Jx\n', 'y'])
    table.flush()
    assert.match(chunks.join(''), /^NAME {4}SIZE\n \[2Jx +y\n$/)
  })
})

describe('the progress bar', () => {
  function setUp(columns?: number) {
    const terminal = new FakeTerminal(columns)
    const clock = { now: 0 }
    return { terminal, clock, progress: new Progress(terminal, 'tags', () => clock.now) }
  }

  test('is not drawn at once, then shows how far things are', () => {
    const { terminal, clock, progress } = setUp(80)
    progress.expect(4)
    progress.step()
    assert.equal(terminal.errors, '')
    clock.now = 1_000
    progress.step()
    assert.equal(terminal.errors, '\r\u001b[K[============            ] 2/4 tags')
  })

  test('is drawn ten times a second at most', () => {
    const { terminal, clock, progress } = setUp(80)
    clock.now = 1_000
    for (let i = 0; i < 100; i++) progress.step()
    assert.equal(terminal.errors.split('\r').length, 2)
  })

  test('never wraps, and leaves nothing behind', () => {
    const { terminal, clock, progress } = setUp(10)
    clock.now = 1_000
    progress.expect(1)
    progress[Symbol.dispose]()
    assert.equal(terminal.errors, '\r\u001b[K[        \r\u001b[K')
  })

  test('is not drawn where standard error is no terminal', () => {
    const { terminal, clock, progress } = setUp()
    clock.now = 10_000
    progress.expect(1)
    progress[Symbol.dispose]()
    assert.equal(terminal.errors, '')
  })
})

describe('work on many things', () => {
  test('is done several at a time and comes back in order', async () => {
    let running = 0
    let most = 0
    const groups = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
    const items = Array.from({ length: 20 }, (_, i) => i)
    const results = mapOrdered(items, 4, async (i) => {
      running += 1
      most = Math.max(most, running)
      // Each waits for the last one of its group of four.
      const group = groups[Math.floor(i / 4)]
      if (i % 4 === 3) group?.resolve()
      await group?.promise
      running -= 1
      return i
    })
    assert.deepEqual(await Array.fromAsync(results), items)
    assert.equal(most, 4)
  })

  test('takes no more items than are being worked on', async () => {
    let taken = 0
    function* items() {
      for (;;) yield (taken += 1)
    }
    for await (const result of mapOrdered(items(), 3, async (item) => item)) if (result === 5) break
    assert.ok(taken <= 8)
  })

  test('ends with the first failure, in its turn', async () => {
    const seen: number[] = []
    const results = mapOrdered([1, 2, 3, 4, 5], 5, async (item) => {
      if (item >= 3) throw new Error(`failed ${item}`)
      return item
    })
    const all = async () => {
      for await (const result of results) seen.push(result)
    }
    await assert.rejects(all, /failed 3/)
    assert.deepEqual(seen, [1, 2])
  })

  test('is cut into batches, none of them empty', async () => {
    async function* items(count: number) {
      for (let i = 0; i < count; i++) yield i
    }
    assert.deepEqual(await Array.fromAsync(inBatches(items(5), 2)), [[0, 1], [2, 3], [4]])
    assert.deepEqual(await Array.fromAsync(inBatches(items(4), 2)), [
      [0, 1],
      [2, 3],
    ])
    assert.deepEqual(await Array.fromAsync(inBatches(items(0), 2)), [])
  })
})
