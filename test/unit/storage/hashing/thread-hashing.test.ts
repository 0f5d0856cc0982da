// Digests that a thread computes: right whatever the pieces are, bounded in what waits for it, and only
// unknown when the thread is gone, whenever that is.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { digestOf } from '../../../../src/oci/digest.ts'
import type { RunningDigest } from '../../../../src/registry/ports/hashing.ts'
import { HashThread } from '../../../../src/storage/hashing/hash-thread.ts'
import {
  ThreadHashing,
  type ThreadHashingSettings,
} from '../../../../src/storage/hashing/thread-hashing.ts'
import { patternBytes } from '../../../support/bytes.ts'
import {
  endingThread,
  missingThread,
  silentThread,
  threadSettings,
} from '../../../support/hash-thread-settings.ts'
import { silentLog } from '../../../support/request-context.ts'
import { until } from '../../../support/until.ts'

const content = patternBytes(100_000)

function startHashing(settings: Partial<ThreadHashingSettings> = {}) {
  const warnings: string[] = []
  const causes: unknown[] = []
  const warn = ({ err }: { err?: unknown }, message: string): void => {
    warnings.push(message)
    causes.push(err)
  }
  const log = { ...silentLog, warn }
  return { hashing: new ThreadHashing(log, { ...threadSettings, ...settings }), warnings, causes }
}

/** Of memory of its own, as most pieces of a body are. */
function own(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

/** Gives the digest all of `content`, in runs of pieces. */
async function feed(digest: RunningDigest, pieceBytes = 5_000, piecesPerRun = 2): Promise<void> {
  const runBytes = pieceBytes * piecesPerRun
  for (let start = 0; start < content.length; start += runBytes) {
    const run: Uint8Array[] = []
    const end = Math.min(start + runBytes, content.length)
    for (let at = start; at < end; at += pieceBytes) {
      run.push(own(content.subarray(at, Math.min(at + pieceBytes, end))))
    }
    await digest.observer.onStored?.(run)
  }
}

describe('the digest of a thread', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    for (const pieceBytes of [1_000, 5_000, 30_000, 100_000]) {
      test(`is that of the bytes: ${algorithm}, pieces of ${pieceBytes}`, async () => {
        await using started = startHashing().hashing
        using digest = started.begin(algorithm, content.length)
        await feed(digest, pieceBytes)
        assert.equal(started.hasThread, true)
        assert.equal(digest.size, content.length)
        assert.equal(await digest.digest(), digestOf(content, algorithm))
      })
    }
  }

  test('is right though digests take turns', async () => {
    await using hashing = startHashing().hashing
    const digests = [1, 2, 3].map(() => hashing.begin('sha256', content.length))
    await Promise.all(digests.map((digest) => feed(digest)))
    for (const digest of digests) assert.equal(await digest.digest(), digestOf(content))
  })

  test('takes the memory of pieces that have it to themselves, and copies others', async () => {
    await using hashing = startHashing().hashing
    using digest = hashing.begin('sha256', content.length)
    const memory = new ArrayBuffer(30_000)
    const [part, whole, pooled] = [
      new Uint8Array(memory, 100, 10_000),
      own(content.subarray(10_000, 20_000)),
      Buffer.from('pooled'),
    ]
    part.set(content.subarray(0, 10_000))
    await digest.observer.onStored?.([part, whole, pooled])
    assert.deepEqual([part.length, whole.length, pooled.length], [10_000, 0, 6])
    assert.equal(memory.byteLength, 30_000)
    // What is done to them now must not matter.
    part.fill(0)
    pooled.fill(0)
    const given = Buffer.concat([content.subarray(0, 20_000), Buffer.from('pooled')])
    assert.equal(await digest.digest(), digestOf(given))
  })

  test('of no bytes is that of no bytes', async () => {
    const { hashing } = startHashing()
    assert.equal(
      await hashing.begin('sha512', undefined).digest(),
      digestOf(content.subarray(0, 0), 'sha512'),
    )
    assert.equal(hashing.hasThread, false)
  })
})

describe('a thread is used', () => {
  const bodies: [title: string, expected: number | undefined, first: number, used: boolean][] = [
    ['for a body that is large', 5_000, 10, true],
    ['not for one that is small', 4_999, 4_999, false],
    ['for one of unknown length of which much comes at once', undefined, 500, true],
    ['not for one of unknown length that is small', undefined, 499, false],
  ]
  for (const [title, expected, first, used] of bodies) {
    test(title, async () => {
      await using hashing = startHashing().hashing
      using digest = hashing.begin('sha256', expected)
      const bytes = own(content.subarray(0, first))
      digest.observer.onBytes?.(bytes)
      await digest.observer.onStored?.([bytes])
      assert.equal(hashing.hasThread, used)
      assert.equal(await digest.digest(), digestOf(content.subarray(0, first)))
    })
  }
})

test('what a thread was given and did not hash has a bound: who has more waits', async () => {
  await using hashing = startHashing({ backlogBytesMax: 25_000 }).hashing
  const digests = Array.from({ length: 8 }, () => hashing.begin('sha256', content.length))
  const bytes = content.subarray(0, 10_000)
  // Nothing is heard of the thread meanwhile: no turn of the event loop passes.
  const taken = digests.map((digest) => digest.observer.onStored?.([own(bytes)]))
  assert.deepEqual(
    taken.map((wait) => wait === undefined),
    [true, true, false, false, false, false, false, false],
  )
  assert.equal(hashing.backlog, 20_000)
  for (const wait of taken) {
    await wait
    assert.ok(hashing.backlog <= 25_000, `${hashing.backlog} bytes`)
  }
  for (const digest of digests) assert.equal(await digest.digest(), digestOf(bytes))
  assert.equal(hashing.backlog, 0)
})

test('a run that is larger than the bound is taken when nothing else is there', async () => {
  await using hashing = startHashing({ backlogBytesMax: 100 }).hashing
  using digest = hashing.begin('sha256', content.length)
  await feed(digest)
  assert.equal(await digest.digest(), digestOf(content))
})

test('a digest that is dropped is gone from the thread', async () => {
  const fail = (cause: unknown): void => assert.fail(String(cause))
  const thread = new HashThread(threadSettings, () => undefined, fail)
  for (const id of [1, 2]) await thread.take(id, 'sha256', [own(content)])
  thread.drop(1)
  assert.equal(await thread.digest(1), undefined)
  assert.equal(`sha256:${await thread.digest(2)}`, digestOf(content))
  await thread.end()
  assert.equal(await thread.digest(2), undefined)
})

describe('a thread that', () => {
  for (const [title, settings] of [
    ['ends in the middle', { program: endingThread }],
    ['cannot be started', { program: missingThread }],
    ['hangs', { program: silentThread, silenceSecondsMax: 0.01 }],
  ] as const) {
    test(`${title} keeps nobody waiting, is told of once, and is done without`, async () => {
      const { hashing, warnings } = startHashing(settings)
      await using _ended = hashing
      const digests = [1, 2, 3].map(() => hashing.begin('sha256', content.length))
      // More than its bound, before and after it ended.
      await Promise.all(digests.map((digest) => feed(digest)))
      await Promise.all(digests.map((digest) => feed(digest)))
      for (const digest of digests) assert.equal(await digest.digest(), undefined)
      assert.match(warnings.join('\n'), /^the thread that hashes .*nothing is lost$/)
      using next = hashing.begin('sha256', content.length)
      await feed(next)
      assert.equal(hashing.hasThread, false)
      assert.equal(await next.digest(), digestOf(content))
      assert.equal(warnings.length, 1)
    })
  }

  test('ends when it is asked for a digest leaves nobody waiting for it', async () => {
    await using hashing = startHashing({ program: endingThread }).hashing
    using digest = hashing.begin('sha256', content.length)
    await digest.observer.onStored?.([own(content)])
    assert.equal(await digest.digest(), undefined)
  })

  test('hangs when it is asked for a digest leaves nobody waiting for it', async () => {
    const { hashing, causes } = startHashing({ program: silentThread, silenceSecondsMax: 0.01 })
    await using _ended = hashing
    using digest = hashing.begin('sha256', content.length)
    await digest.observer.onStored?.([own(content)])
    assert.equal(await digest.digest(), undefined)
    // Before it was asked to end, which it may not do.
    assert.match(String(causes[0]), /it said nothing for 0.01 seconds/)
  })

  test('has nothing to do is not given up, however long it is silent', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { hashing, warnings } = startHashing({ silenceSecondsMax: 10 })
    await using _ended = hashing
    const [resting, other] = [1, 2].map(() => hashing.begin('sha256', content.length))
    assert.ok(resting && other)
    for (const digest of [resting, other]) await feed(digest)
    assert.equal(await other.digest(), digestOf(content))
    t.mock.timers.tick(60_000)
    assert.equal(await resting.digest(), digestOf(content))
    assert.deepEqual(warnings, [])
  })

  test('failed is replaced after a while', async () => {
    const { hashing, warnings } = startHashing({ program: missingThread, retrySeconds: 0 })
    await using _ended = hashing
    for (const times of [1, 2]) {
      using digest = hashing.begin('sha256', content.length)
      await feed(digest)
      assert.equal(await digest.digest(), undefined)
      assert.equal(warnings.length, times)
    }
  })

  test('has nothing to hash is ended, which no one is warned of, and started again', async () => {
    const { hashing, warnings } = startHashing({ idleSecondsMax: 0.001 })
    await using _ended = hashing
    using resting = hashing.begin('sha256', content.length)
    await feed(resting)
    await until('it is ended', () => !hashing.hasThread)
    assert.equal(await resting.digest(), undefined)
    using next = hashing.begin('sha256', content.length)
    await next.observer.onStored?.([own(content)])
    assert.equal(await next.digest(), digestOf(content))
    assert.deepEqual(warnings, [])
  })

  test('has much to hash is not ended, however long that takes', async () => {
    await using hashing = startHashing({ idleSecondsMax: 0.001, backlogBytesMax: 1e9 }).hashing
    using digest = hashing.begin('sha512', content.length)
    using other = hashing.begin('sha256', content.length)
    await other.observer.onStored?.([own(content)])
    await digest.observer.onStored?.([new Uint8Array(1)])
    await other.digest()
    // It rested a moment ago, and this takes a hundred times as long as it may rest.
    const large = new Uint8Array(1 << 26)
    await digest.observer.onStored?.([large])
    assert.notEqual(await digest.digest(), undefined)
  })

  test('has nothing to do does not keep the process from ending', async () => {
    const file = new URL('../../../../src/storage/hashing/thread-hashing.ts', import.meta.url)
    const program = `
      import { ThreadHashing } from ${JSON.stringify(file.href)}
      const settings = ${JSON.stringify(threadSettings)}
      const digest = new ThreadHashing({ warn: console.log }, settings).begin('sha256', 1e6)
      await digest.observer.onStored([new Uint8Array(1e6)])
      console.log(await digest.digest())
    `
    const flags = ['--eval', program]
    const { stdout } = await promisify(execFile)(process.execPath, flags, { timeout: 30_000 })
    assert.equal(stdout.trim(), digestOf(new Uint8Array(1e6)))
  })
})
