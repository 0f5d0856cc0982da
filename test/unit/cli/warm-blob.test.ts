import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CacheStatus, PullError } from '../../../src/cli/trow-client.ts'
import { type BlobSource, warmBlob } from '../../../src/cli/warm-blob.ts'
import { limits } from '../../../src/config/limits.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { parseImageReference } from '../../../src/oci/image-reference.ts'
import { UpstreamError, type UpstreamProblem } from '../../../src/oci/upstream-error.ts'

const step = limits.warmStepBytes
const digest = digestOf(Buffer.from('layer'))
const origin = parseImageReference('a.example/b')

type Answer = CacheStatus | Error

/** A Trow that answers so, one after the other, and the bytes that it was asked for. */
function trowAnswering(size: number, ...answers: readonly Answer[]) {
  const asked: (number | undefined)[] = []
  const trow: BlobSource['trow'] = {
    async getBlob(_origin, _digest, _signal, byte) {
      const answer = answers[asked.length] ?? 'HIT'
      asked.push(byte)
      return {
        url: new URL('http://trow.example'),
        size,
        offset: byte ?? 0,
        cache: answer instanceof Error ? 'COALESCED' : answer,
        async *chunks() {},
        async readAll() {
          if (answer instanceof Error) throw answer
          return Buffer.of()
        },
        async [Symbol.asyncDispose]() {},
      } as never
    },
  }
  return { source: { trow, origin, signal: new AbortController().signal }, asked }
}

function broken(problem: UpstreamProblem): UpstreamError {
  return new UpstreamError('no', { host: 'trow.example', problem })
}

async function warm(size: number, ...answers: readonly Answer[]) {
  const { source, asked } = trowAnswering(size, ...answers)
  const progress: number[] = []
  const blob = { mediaType: 'application/octet-stream', digest, size }
  const fetched = await warmBlob(source, blob, (bytes) => progress.push(bytes))
  return { fetched, asked, progress }
}

describe('a blob that Trow', () => {
  test('has is asked for once', async () => {
    assert.deepEqual(await warm(3 * step, 'HIT'), {
      fetched: 0,
      asked: [step],
      progress: [3 * step],
    })
  })

  test('has not is followed to its end, until it is kept', async () => {
    const size = 2 * step + 10
    const { fetched, asked, progress } = await warm(
      size,
      ...(['MISS', 'COALESCED', 'COALESCED', 'COALESCED', 'COALESCED', 'HIT'] as const),
    )
    assert.equal(fetched, size)
    assert.deepEqual(asked, [step, 2 * step, size - 1, 0, 0, 0])
    assert.deepEqual(progress, [step + 1, step, 9])
  })

  test('has meanwhile is not followed any more', async () => {
    const { fetched, asked } = await warm(5 * step, 'MISS', 'HIT')
    assert.equal(fetched, 5 * step)
    assert.deepEqual(asked, [step, 2 * step])
  })

  test('takes its time for is waited for', async () => {
    const { fetched, asked } = await warm(10, broken('timeout'), broken('timeout'), 'COALESCED')
    assert.equal(fetched, 10)
    assert.deepEqual(asked, [9, 9, 9, 0])
  })

  test('has nothing of is there when it is empty', async () => {
    assert.deepEqual(await warm(0, 'MISS', 'HIT'), {
      fetched: 0,
      asked: [undefined, undefined],
      progress: [0],
    })
  })
})

describe('a blob is not warmed', () => {
  const cases: [what: string, size: number, answers: Answer[], message: RegExp][] = [
    ['that breaks off', 10, [broken('connection')], /a layer broke off .*log of Trow says why/],
    ['that never comes', 10, Array(20).fill(broken('timeout')), /a layer broke off/],
    ['that is not kept at its end', 10, ['MISS', 'COALESCED', 'MISS'], /Trow did not keep sha256:/],
    ['that is not kept on its way', 2 * step, ['MISS', 'MISS'], /Trow did not keep sha256:/],
  ]
  for (const [what, size, answers, message] of cases) {
    test(what, async () => {
      await assert.rejects(warm(size, ...answers), (error) => {
        assert.ok(error instanceof PullError)
        assert.match(error.message, message)
        return true
      })
    })
  }

  test('that has another size than its manifest says', async () => {
    const { source } = trowAnswering(11, 'HIT')
    const blob = { mediaType: 'application/octet-stream', digest, size: 10 }
    await assert.rejects(
      warmBlob(source, blob, () => undefined),
      /has 11 bytes, its manifest says 10/,
    )
  })
})
